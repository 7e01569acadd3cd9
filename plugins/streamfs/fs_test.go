package streamfs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/pfs-project/pfs/plugins/streamfs"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

func Test(t *testing.T) {
	vfstest.Run(t, vfstest.Subject{Plugin: streamfs.Plugin(), Scripts: "testdata"})
}

func TestMemory(t *testing.T) {
	vfstest.Run(t, vfstest.Subject{Plugin: streamfs.Plugin(), Config: vfs.Config{"durability": "memory"}, Scripts: "testdata"})
}

func TestRotating(t *testing.T) {
	vfstest.Run(t, vfstest.Subject{Plugin: streamfs.RotatePlugin(), Config: vfs.Config{"output_path": "/m"}})
}

func TestSettings(t *testing.T) {
	both := "buffer_size and ring_buffer_size are two names of one setting and differ: leave one out"
	for _, c := range []struct {
		config vfs.Config
		want   string
	}{
		{nil, ""},
		{vfs.Config{"buffer_size": "10MB"}, ""},
		{vfs.Config{"ring_buffer_size": float64(1 << 22), "channel_buffer_size": "512KB"}, ""},
		{vfs.Config{"buffer_size": "1MB", "ring_buffer_size": 1 << 20}, ""},
		{vfs.Config{"buffer_size": "1MB", "ring_buffer_size": "2MB"}, both},
		{vfs.Config{"buffer_size": "0"}, "buffer_size must be 64KB to 1TB"},
		{vfs.Config{"channel_buffer_size": -1}, "channel_buffer_size must be 64KB to 1TB"},
		{vfs.Config{"durability": "log"}, ""},
		{vfs.Config{"durability": "memory"}, ""},
		{vfs.Config{"durability": "memory", "ring_buffer_size": "200MB"}, ""},
		{vfs.Config{"durability": "memory", "ring_buffer_size": "64KB", "memory_budget": "1MB"}, ""},
		{vfs.Config{"durability": "memory", "buffer_size": "200MB", "memory_budget": "256MB"}, "memory_budget must be twice buffer_size at least, 1MB to 1TB"},
		{vfs.Config{"durability": "memory", "buffer_size": "64KB", "memory_budget": "1KB"}, "memory_budget must be twice buffer_size at least, 1MB to 1TB"},
		{vfs.Config{"durability": "memory", "buffer_size": "1MB", "ring_buffer_size": "2MB"}, both},
		{vfs.Config{"memory_budget": "64MB"}, "memory_budget is for durability: memory; streams in the log take none"},
		{vfs.Config{"durability": "tape"}, `durability must be log or memory, not "tape"`},
		{vfs.Config{"ring": 1}, "unknown configuration parameter(s) 'ring' - allowed parameters are: 'buffer_size', 'ring_buffer_size', 'channel_buffer_size', 'durability', 'memory_budget'"},
	} {
		_, err := streamfs.Plugin().Place(c.config)
		_, nerr := streamfs.Plugin().New(vfs.Env{}, c.config)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want || (err == nil) != (nerr == nil) || err != nil && vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("%v: %v (%v), want %q", c.config, err, nerr, c.want)
		}
	}
}

type state struct {
	t *testing.T
	*vfstest.State
	*streamfs.FS
	chunks *vfstest.Chunks
}

// What a cluster answers in which a member is of a version without streams in
// memory is what that version answers.
func TestEarlierLevels(t *testing.T) {
	notYet := "durability: memory is not built yet: streams that are not in the log would be lost with a node; leave it out, or use log"
	unknown := "unknown configuration parameter(s) 'memory_budget' - allowed parameters are: 'buffer_size', 'ring_buffer_size', 'channel_buffer_size', 'durability'"
	for _, c := range []struct {
		config vfs.Config
		since  uint64
		want   string
	}{
		{vfs.Config{"durability": "memory"}, 16, notYet},
		{vfs.Config{"durability": "tape"}, 16, `durability must be log, not "tape"`},
		{vfs.Config{"durability": "memory", "memory_budget": "1MB"}, 16, unknown},
		{vfs.Config{"durability": "log"}, 0, ""},
		{vfs.Config{"durability": []any{1}}, 0, ""},
	} {
		since, err := streamfs.Plugin().Later(c.config)
		if since != c.since || c.want != "" && (err == nil || err.Error() != c.want) || c.want == "" && err != nil {
			t.Errorf("%v: level %d, %v", c.config, since, err)
		}
	}
	c := vfs.Config{"durability": "memory", "output_path": "/m"}
	if since, err := streamfs.RotatePlugin().Later(c); since != 16 || err == nil || err.Error() != notYet {
		t.Errorf("streamrotatefs: %d, %v", since, err)
	}
	if _, err := streamfs.RotatePlugin().Place(c); vfs.KindOf(err) != vfs.Invalid {
		t.Errorf("streamrotatefs in memory: %v", err)
	}
}

func newState(t *testing.T, ring int) *state {
	chunks := vfstest.NewChunks()
	fs, err := streamfs.Plugin().New(vfs.Env{Chunks: chunks}, vfs.Config{"buffer_size": ring})
	if err != nil {
		t.Fatal(err)
	}
	s := &state{t, vfstest.NewState(), fs.(*streamfs.FS), chunks}
	s.must(vfs.Op{Verb: vfs.Mount, Path: vfs.Root, Data: []byte("doc")})
	return s
}

func (s *state) must(op vfs.Op) vfs.Result {
	s.t.Helper()
	r, err := s.State.Apply(s.FS, op)
	if err != nil {
		s.t.Fatalf("%v %s: %v", op.Verb, op.Path, err)
	}
	return r
}

func (s *state) follow(p vfs.Path) vfs.Live {
	s.t.Helper()
	l, err := s.Follow(s.View(), p)
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// reap does what is due, and returns how many Events it took.
func (s *state) reap() (n int) {
	s.t.Helper()
	for ; n < 1000; n++ {
		ops, _ := s.Due(s.View(), s.Now())
		if len(ops) == 0 {
			return n
		}
		s.must(ops[0])
	}
	s.t.Fatal("something is due for ever")
	return n
}

// TestRing writes pieces of all lengths, inline and as chunks, and compares
// what is kept with what was written.
func TestRing(t *testing.T) {
	const ring = 64 << 10
	s := newState(t, ring)
	r := rand.New(rand.NewPCG(1, 2))
	var all []byte
	for i := range 400 {
		piece := make([]byte, r.IntN(1<<r.IntN(18)))
		for j := range piece {
			piece[j] = byte(r.Uint32())
		}
		op := vfs.Op{Verb: vfs.Write, Path: "/tv", Flag: vfs.FlagCreate | vfs.FlagTruncate, Off: int64(r.IntN(5))}
		s.chunks.Fill(&op, piece)
		if res := s.must(op); res.N != int64(len(piece)) {
			t.Fatalf("%d bytes were written as %d", len(piece), res.N)
		}
		all = append(all, piece...)
		l := s.follow("/tv")
		if want := max(0, int64(len(all))-ring); l.Oldest != want || l.End != int64(len(all)) {
			t.Fatalf("write %d: [%d, %d), want [%d, %d)", i, l.Oldest, l.End, want, len(all))
		}
		kept := make([]byte, ring+1)
		n, err := s.ReadStream(t.Context(), s.View(), l.File, kept, l.Oldest)
		if err != nil || !bytes.Equal(kept[:n], all[l.Oldest:]) {
			t.Fatalf("write %d: %d bytes, %v", i, n, err)
		}
		if _, err := s.ReadStream(t.Context(), s.View(), l.File, kept, l.Oldest-1); l.Oldest > 0 && vfs.KindOf(err) != vfs.Range {
			t.Fatalf("before the oldest: %v", err)
		}
		if n, err := s.ReadStream(t.Context(), s.View(), l.File, kept, l.End); n != 0 || err != nil {
			t.Fatalf("at the end: %d, %v", n, err)
		}
	}
	s.reap()
	if err := s.Check(s.View()); err != nil {
		t.Error(err)
	}
	if n := s.Len(); n > 100 {
		t.Errorf("%d rows for a ring of %d bytes", n, ring)
	}
	s.must(vfs.Op{Verb: vfs.Remove, Path: "/tv"})
	s.reap()
	for hash, n := range s.Counts() {
		if n != 0 {
			t.Errorf("chunk %x is counted %d times", hash[:4], n)
		}
	}
}

// TestForgettingIsBounded fills a ring with many small rows and then pushes all
// of them out by one write: readers lose them at once, rows go by and by.
func TestForgettingIsBounded(t *testing.T) {
	s := newState(t, 32<<20)
	write := func(n int) {
		op := vfs.Op{Verb: vfs.Write, Path: "/tv", Flag: vfs.FlagCreate}
		s.chunks.Split(&op, make([]byte, n))
		s.must(op)
	}
	for range 3000 {
		write(4097)
	}
	full := s.Len()
	ref := s.chunks.Put(make([]byte, 4<<20))
	s.must(vfs.Op{Verb: vfs.Write, Path: "/tv", Refs: []vfs.ChunkRef{ref, ref, ref, ref, ref, ref, ref, ref}})
	if l := s.follow("/tv"); l.End-l.Oldest != 32<<20 {
		t.Errorf("%+v", l)
	}
	if now := s.Len(); full-now > 1100 {
		t.Errorf("one write freed %d rows", full-now)
	}
	if n := s.reap(); n < 2 || s.Len() > 40 {
		t.Errorf("%d Reaps leave %d rows", n, s.Len())
	}
}

func TestStreamsEndAndBeginAnew(t *testing.T) {
	s := newState(t, 1<<20)
	if l, err := s.Follow(s.View(), "/tv"); vfs.KindOf(err) != vfs.NotFound || len(l.Row) == 0 {
		t.Errorf("nothing yet: %+v, %v", l, err)
	}
	s.must(vfs.Op{Verb: vfs.Write, Path: "/a/tv", Flag: vfs.FlagCreate, Data: []byte("old")})
	old := s.follow("/a/tv")
	s.must(vfs.Op{Verb: vfs.RemoveAll, Path: "/a"})
	s.reap()
	s.must(vfs.Op{Verb: vfs.Write, Path: "/a/tv", Flag: vfs.FlagCreate, Data: []byte("new")})
	if _, err := s.ReadStream(context.Background(), s.View(), old.File, make([]byte, 9), 0); vfs.KindOf(err) != vfs.NotFound {
		t.Errorf("a stream that is gone: %v", err)
	}
	if l := s.follow("/a/tv"); l.File == old.File || l.Oldest != 0 || l.End != 3 {
		t.Errorf("%+v after %+v", l, old)
	}
	for p, want := range map[vfs.Path]vfs.Kind{"/a": vfs.IsDirectory, "/README": vfs.Unsupported} {
		if _, err := s.Follow(s.View(), p); vfs.KindOf(err) != want {
			t.Errorf("%s: %v", p, err)
		}
	}
	i, err := s.Stat(t.Context(), s.View(), "/a/tv")
	if err != nil || i.Meta.Type != "stream" || fmt.Sprint(i.Meta.Content) != "map[durability:log oldest:0 total_written:3]" {
		t.Errorf("%+v, %v", i, err)
	}
	if n, err := s.ReadAt(t.Context(), s.View(), "/a/tv", make([]byte, 9), 1); n != 2 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
}
