package queuefs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// state is a mount of queuefs in memory, and the chunks beside it.
type state struct {
	*vfstest.State
	t         testing.TB
	fs        FS
	chunks    *vfstest.Chunks
	unchecked bool // for benchmarks
}

func newState(t testing.TB) *state { return newStateAt(t, since) }

// newStateAt is a mount made at a feature level.
func newStateAt(t testing.TB, level uint64) *state {
	s := &state{State: vfstest.NewState(), t: t, chunks: vfstest.NewChunks()}
	s.fs = FS{s.chunks}
	tx := s.Begin()
	defer tx.Drop()
	if _, err := s.fs.Apply(tx, vfs.Op{Verb: vfs.Mount, Path: vfs.Root}); err != nil {
		t.Fatal(err)
	}
	s.fs.Level(tx, level)
	tx.Commit()
	return s
}

// raise takes the mount to a feature level.
func (s *state) raise(level uint64) {
	s.t.Helper()
	tx := s.Begin()
	defer tx.Drop()
	s.fs.Level(tx, level)
	tx.Commit()
	if err := s.fs.Check(s.View()); err != nil {
		s.t.Fatal(err)
	}
}

// keep stores data as chunks of at most size bytes.
func (s *state) keep(data []byte, size int) (refs []vfs.ChunkRef) {
	for c := range slices.Chunk(data, size) {
		ref := s.chunks.Put(append([]byte("xx"), c...))
		ref.Off, ref.Len = 2, ref.Len-2
		refs = append(refs, ref)
	}
	return refs
}

func (s *state) apply(op vfs.Op) (vfs.Result, error) {
	r, err := s.Apply(s.fs, op)
	if s.unchecked {
		return r, err
	}
	if e := s.fs.Check(s.View()); e != nil {
		s.t.Fatalf("after %v %s: %v", op.Verb, op.Path, e)
	}
	return r, err
}

func (s *state) must(op vfs.Op) vfs.Result {
	s.t.Helper()
	r, err := s.apply(op)
	if err != nil {
		s.t.Fatalf("%v %s: %v", op.Verb, op.Path, err)
	}
	return r
}

func (s *state) enqueue(q vfs.Path, data string) vfs.Result {
	s.t.Helper()
	return s.must(vfs.Op{Verb: vfs.Write, Path: q.Child("enqueue"), Data: []byte(data)})
}

func (s *state) dequeue(q vfs.Path) string {
	s.t.Helper()
	return s.reply(s.must(vfs.Op{Verb: vfs.Consume, Path: q.Child("dequeue")}))
}

func (s *state) reply(r vfs.Result) string {
	s.t.Helper()
	var b strings.Builder
	if err := s.fs.Reply(s.t.Context(), r, &b); err != nil {
		s.t.Fatal(err)
	}
	return b.String()
}

// read reads a file n bytes at a time and compares its length with stat.
func (s *state) read(p vfs.Path, n int) string {
	s.t.Helper()
	info, err := s.fs.Stat(s.t.Context(), s.View(), p)
	if err != nil {
		s.t.Fatal(err)
	}
	var all []byte
	for b := make([]byte, n); ; {
		k, err := s.fs.ReadAt(s.t.Context(), s.View(), p, b, int64(len(all)))
		all = append(all, b[:k]...)
		if err == io.EOF {
			break
		} else if err != nil {
			s.t.Fatal(err)
		}
	}
	if int64(len(all)) != info.Size {
		s.t.Fatalf("%s: read %d bytes, stat says %d", p, len(all), info.Size)
	}
	return string(all)
}

func (s *state) names(p vfs.Path, after string, limit int) string {
	s.t.Helper()
	infos, err := s.fs.List(s.t.Context(), s.View(), p, after, limit)
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, i := range infos {
		names = append(names, i.Name)
		if i.Name == "README" && i.ID == 0 {
			s.t.Error("README has no id")
		}
		at, err := s.fs.Stat(s.t.Context(), s.View(), p.Child(i.Name))
		if err != nil || fmt.Sprint(at) != fmt.Sprint(i) {
			s.t.Errorf("%s: listed as %v, stat %v %v", i.Name, i, at, err)
		}
		if back, ok := s.fs.PathOf(s.View(), i.ID); !ok || back != p.Child(i.Name) {
			s.t.Errorf("PathOf(%s) = %s %v", p.Child(i.Name), back, ok)
		}
	}
	return strings.Join(names, " ")
}

func (s *state) drain() (rounds int) {
	for {
		ops, _ := s.fs.Due(s.View(), s.Now())
		if len(ops) == 0 {
			return rounds
		}
		for _, op := range ops {
			s.must(op)
		}
		rounds++
	}
}

type shown struct {
	ID        string  `json:"id"`
	Data      *string `json:"data"`
	Binary    []byte  `json:"data_base64"`
	Timestamp string  `json:"timestamp"`
}

func parse(t testing.TB, s string) (a shown) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &a); err != nil {
		t.Fatalf("%v in %.200q", err, s)
	}
	return a
}

func TestOrderAndIds(t *testing.T) {
	s := newState(t)
	var ids []string
	for i := range 20 {
		s.Advance(time.Millisecond / 4 * time.Duration(i%2)) // two in one instant
		r := s.enqueue("/q", fmt.Sprint("m", i))
		var a struct {
			ID  string
			Seq uint64
		}
		if err := json.Unmarshal(r.Data, &a); err != nil || a.Seq != uint64(i+1) {
			t.Fatalf("%s: %v", r.Data, err)
		}
		ids = append(ids, a.ID)
	}
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Errorf("ids do not rise: %v", ids)
	}
	if id := ids[0]; len(id) != 36 || id[14] != '7' || !strings.ContainsRune("89ab", rune(id[19])) {
		t.Errorf("%s is no UUIDv7", id)
	}
	for i := range 20 {
		if peek := parse(t, s.read("/q/peek", 7)); *peek.Data != fmt.Sprint("m", i) || peek.ID != ids[i] {
			t.Fatalf("peek %d: %+v", i, peek)
		}
		if got := parse(t, s.dequeue("/q")); *got.Data != fmt.Sprint("m", i) || got.ID != ids[i] {
			t.Fatalf("dequeue %d: %+v", i, got)
		}
		if size := s.read("/q/size", 9); size != fmt.Sprint(19-i) {
			t.Fatalf("size %s", size)
		}
	}
	if got := s.dequeue("/q"); got != "{}" {
		t.Errorf("empty: %s", got)
	}
	if got := s.read("/q/peek", 9); got != "{}" {
		t.Errorf("empty peek: %s", got)
	}
}

func TestIdsInOneEventAndTwoMounts(t *testing.T) {
	seen := map[string]bool{}
	for mount := range uint64(2) { // with the same clock and numbers
		s := newState(t)
		var ops []vfs.Op
		for i := range 100 {
			ops = append(ops, vfs.Op{Verb: vfs.Write, Mount: mount + 1, Path: vfs.Path(fmt.Sprintf("/q%d/enqueue", i%7))})
		}
		results, err := s.Event(s.fs, ops...)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			var m struct{ ID string }
			if err := json.Unmarshal(r.Data, &m); err != nil || seen[m.ID] {
				t.Fatalf("%s again, %v", m.ID, err)
			}
			seen[m.ID] = true
		}
	}
}

func TestRendering(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	long := []byte(strings.Repeat("aé€😀<\u2028\"\\\n\x01", 40_000))
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	for name, data := range map[string][]byte{
		"empty": {}, "text": []byte("job"), "html": []byte("<a&b>\u2028\x00\x7f\b\f"), "binary": {0xff, 0, 1},
		"cut rune": []byte("abc\xe2\x82"), "long text": long, "long binary": noise,
		"long, bad at the end": append(slices.Clone(long), 0xe2, 0x82),
		"replacement":          []byte("\ufffd"),
	} {
		t.Run(name, func(t *testing.T) {
			s := newState(t)
			op := vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Data: data}
			if len(data) > vfs.MaxInline {
				op.Data, op.Refs = nil, s.keep(data, 100_003)
			}
			if res := s.must(op); res.N != int64(len(data)) {
				t.Errorf("N = %d", res.N)
			}
			peek := s.read("/q/peek", 200_001)
			got := s.dequeue("/q")
			if got != peek {
				t.Error("peek and dequeue differ")
			}
			a := parse(t, got)
			switch {
			case utf8.Valid(data):
				quoted, err := json.Marshal(string(data))
				if err != nil || a.Data == nil || *a.Data != string(data) || !strings.Contains(got, `"data":`+string(quoted)) || a.Binary != nil {
					t.Errorf("text came as %.100q", got)
				}
			case a.Data != nil || !bytes.Equal(a.Binary, data):
				t.Errorf("binary came as %.100q", got)
			}
			if !strings.HasPrefix(got, `{"id":"`) || !strings.HasSuffix(got, `","timestamp":"`+a.Timestamp+`"}`) {
				t.Errorf("order of keys: %.100q", got)
			}
			if left := s.Counts(); len(left) > 0 {
				t.Errorf("chunks still counted: %d", len(left))
			}
		})
	}
}

func TestTooLong(t *testing.T) {
	s := newState(t)
	ref := vfs.ChunkRef{Hash: [32]byte{1}, Len: 16 << 20}
	if _, err := s.apply(vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Refs: []vfs.ChunkRef{ref}}); vfs.KindOf(err) != vfs.TooLarge {
		t.Errorf("16 MiB: %v", err)
	}
	ref.Len--
	s.must(vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Refs: []vfs.ChunkRef{ref}})
}

func TestTreeOfQueues(t *testing.T) {
	s := newState(t)
	for _, q := range []vfs.Path{"/a-b", "/a.b", "/a_b", "/a/b", "/a/b/c"} {
		s.must(vfs.Op{Verb: vfs.Mkdir, Path: q})
		s.must(vfs.Op{Verb: vfs.Mkdir, Path: q})
		s.enqueue(q, string(q))
	}
	for p, want := range map[vfs.Path]string{
		"/":    "README a a-b a.b a_b",
		"/a":   "ack b clear ctl dead delayed dequeue enqueue extend inflight nack peek redrive size stats.json take",
		"/a/b": "ack c clear ctl dead delayed dequeue enqueue extend inflight nack peek redrive size stats.json take",
	} {
		if got := s.names(p, "", 0); got != want {
			t.Errorf("%s: %s", p, got)
		}
	}
	if got := s.names("/a", "b", 3); got != "clear ctl dead" {
		t.Errorf("page: %s", got)
	}
	if got := s.names("/a", "peek", 0); got != "redrive size stats.json take" {
		t.Errorf("page: %s", got)
	}
	for _, q := range []vfs.Path{"/a-b", "/a.b", "/a_b", "/a/b", "/a/b/c"} {
		if got := parse(t, s.dequeue(q)); *got.Data != string(q) {
			t.Errorf("%s: %+v", q, got)
		}
	}
}

func TestTimesAndVersions(t *testing.T) {
	s := newState(t)
	stat := func(p vfs.Path) vfs.Info {
		i, err := s.fs.Stat(t.Context(), s.View(), p)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	s.enqueue("/q", "1")
	s.Advance(time.Second)
	newest := s.enqueue("/q", "2").Version
	at := s.Now()
	if got := stat("/q/enqueue"); got.Version != newest || !got.ModTime.Equal(at) {
		t.Errorf("enqueue: %+v", got)
	}
	s.Advance(time.Second)
	before := stat("/q/peek")
	s.dequeue("/q")
	s.dequeue("/q")
	after := stat("/q/peek")
	if !before.ModTime.Equal(at) || !after.ModTime.Equal(at) {
		t.Error("peek does not keep the time of the newest message")
	}
	if before.Version >= after.Version {
		t.Error("peek reads otherwise and has the same version")
	}
	touched := stat("/q").Version
	s.must(vfs.Op{Verb: vfs.Touch, Path: "/q/enqueue"})
	if s.read("/q/size", 9) != "0" || stat("/q").Version != touched {
		t.Error("touch enqueued or changed the queue")
	}
	if !stat("/q/dequeue").Consumes() || stat("/q/peek").Consumes() {
		t.Error("marks of consuming files")
	}
}

func TestClearAndRemoveAreReaped(t *testing.T) {
	s := newState(t)
	refs := s.keep(make([]byte, 50_000), 20_000)
	s.unchecked = true
	for i := range 2500 {
		s.enqueue("/q", "x")
		if i%100 == 0 {
			s.must(vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Refs: refs})
		}
	}
	enqueued := s.must(vfs.Op{Verb: vfs.Write, Path: "/q/clear", Data: []byte("1")})
	if enqueued.N != 1 || s.read("/q/size", 9) != "0" || s.dequeue("/q") != "{}" {
		t.Error("not cleared")
	}
	if r := s.enqueue("/q", "next"); !bytes.Contains(r.Data, []byte(`"seq":2526`)) {
		t.Errorf("positions start again: %s", r.Data)
	}
	s.unchecked = false
	if n := s.drain(); n < 3 || n > 5 {
		t.Errorf("reaped in %d rounds", n)
	}
	s.unchecked = true
	for i := range 1200 {
		s.enqueue(vfs.Path(fmt.Sprintf("/q/sub%d", i)), "y")
	}
	handle, err := s.fs.Stat(t.Context(), s.View(), "/q/enqueue")
	if err != nil {
		t.Fatal(err)
	}
	s.unchecked = false
	s.must(vfs.Op{Verb: vfs.RemoveAll, Path: "/q"})
	if got := s.names("/", "", 0); got != "README" {
		t.Error(got)
	}
	s.must(vfs.Op{Verb: vfs.Mkdir, Path: "/q"})
	s.drain()
	for _, id := range []uint64{handle.ID} {
		if _, err := s.apply(vfs.Op{Verb: vfs.Write, File: id, Data: []byte("z")}); vfs.KindOf(err) != vfs.NotFound {
			t.Errorf("write by the id of a removed file: %v", err)
		}
	}
	s.must(vfs.Op{Verb: vfs.Remove, Path: "/q"})
	if left := s.Counts(); len(left) > 0 {
		t.Errorf("chunks still counted: %d", len(left))
	}
	var left []string
	for k := range s.View().Scan(nil, nil) {
		left = append(left, fmt.Sprintf("%q", k))
	}
	if len(left) != 2 {
		t.Errorf("rows left: %v", left)
	}
}

func TestRefusals(t *testing.T) {
	s := newState(t)
	s.enqueue("/q", "x")
	s.must(vfs.Op{Verb: vfs.Mkdir, Path: "/p/sub"})
	for _, c := range []struct {
		verb vfs.Verb
		path vfs.Path
		want vfs.Kind
		text string
	}{
		{vfs.Mkdir, "/q/enqueue", vfs.Permission, "reserved"},
		{vfs.Mkdir, "/size", vfs.Permission, "reserved"},
		{vfs.Mkdir, "/README", vfs.Exists, ""},
		{vfs.Mkdir, "/README/q", vfs.NotDirectory, ""},
		{vfs.Write, "/README/enqueue", vfs.NotDirectory, ""},
		{vfs.Write, "/q/size/enqueue", vfs.Permission, "reserved"},
		{vfs.Write, "/q/dequeue", vfs.Permission, "read-only"},
		{vfs.Write, "/q/peek", vfs.Permission, "read-only"},
		{vfs.Write, "/q/size", vfs.Permission, "read-only"},
		{vfs.Write, "/README", vfs.Permission, "read-only"},
		{vfs.Write, "/no/clear", vfs.NotFound, ""},
		{vfs.Write, "/q", vfs.IsDirectory, ""},
		{vfs.Write, "/q/file", vfs.Permission, "only directories"},
		{vfs.Create, "/file", vfs.Permission, "only directories"},
		{vfs.Create, "/README", vfs.Exists, ""},
		{vfs.Touch, "/file", vfs.Permission, "only directories"},
		{vfs.Truncate, "/q", vfs.IsDirectory, ""},
		{vfs.Truncate, "/README", vfs.Permission, "read-only"},
		{vfs.Remove, "/q", vfs.NotEmpty, ""},
		{vfs.Remove, "/p", vfs.NotEmpty, ""},
		{vfs.Remove, "/q/size", vfs.Permission, "cannot be removed"},
		{vfs.Remove, "/no", vfs.NotFound, ""},
		{vfs.RemoveAll, "/no", vfs.NotFound, ""},
		{vfs.RemoveAll, "/q/size", vfs.Permission, "cannot be removed"},
		{vfs.RemoveAll, "/", vfs.Permission, ""},
		{vfs.Consume, "/no/dequeue", vfs.NotFound, ""},
		{vfs.Consume, "/q/peek", vfs.Unsupported, ""},
		{vfs.Rename, "/q", vfs.Unsupported, ""},
		{vfs.Chmod, "/q", vfs.Unsupported, ""},
	} {
		if _, err := s.apply(vfs.Op{Verb: c.verb, Path: c.path}); vfs.KindOf(err) != c.want || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%v %s: %v", c.verb, c.path, err)
		}
	}
	for p, want := range map[vfs.Path]vfs.Kind{
		"/no/dequeue": vfs.NotFound, "/q": vfs.IsDirectory, "/q/dequeue": vfs.Unsupported,
		"/q/enqueue": vfs.Permission, "/q/clear": vfs.Permission, "/q/no": vfs.NotFound,
	} {
		_, err := s.fs.ReadAt(t.Context(), s.View(), p, make([]byte, 1), 0)
		if vfs.KindOf(err) != want {
			t.Errorf("read %s: %v", p, err)
		}
		if want == vfs.Permission && !strings.Contains(vfs.At(err, "read", p).Error(), "permission denied (") {
			t.Errorf("read %s: %v", p, vfs.At(err, "read", p))
		}
	}
	if _, err := s.fs.List(t.Context(), s.View(), "/q/size", "", 0); vfs.KindOf(err) != vfs.NotDirectory {
		t.Errorf("list of a file: %v", err)
	}
}

func TestConfig(t *testing.T) {
	p := Plugin()
	for _, c := range []struct {
		config vfs.Config
		want   vfs.Kind
		text   string
	}{
		{vfs.Config{}, 0, ""},
		{vfs.Config{"backend": "memory", "port": "4000"}, 0, ""},
		{vfs.Config{"backend": "sqlite", "db_path": "x"}, 0, ""},
		{vfs.Config{"backend": "sqlite3"}, 0, ""},
		{vfs.Config{"backend": "sqlite", "db_path": ":memory:"}, vfs.Invalid, "db_path is invalid"},
		{vfs.Config{"backend": "tidb", "port": "4000"}, 0, ""},
		{vfs.Config{"backend": "mysql", "dsn": "x"}, vfs.Invalid, "dsn is invalid"},
		{vfs.Config{"backend": "x"}, vfs.Invalid, "unsupported backend: x (valid options: memory, tidb, mysql, sqlite)"},
		{vfs.Config{"port": "many"}, vfs.Invalid, "port must be an integer"},
		{vfs.Config{"nope": 1}, vfs.Invalid, "unknown configuration parameter"},
	} {
		err := c.config.Check(p.Params)
		if err == nil {
			_, err = p.New(vfs.Env{}, c.config)
		}
		if vfs.KindOf(err) != c.want || c.want != 0 && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%v: %v", c.config, err)
		}
	}
}

// The README is short and tells of every file.
func TestReadmeTellsAll(t *testing.T) {
	if n := strings.Count(readme, "\n"); n > 40 {
		t.Errorf("it has %d lines", n)
	}
	for _, c := range controls {
		if name := "`" + c.name + "`"; !strings.Contains(readme, name) && !strings.Contains(readme, "`"+c.name+"/`") {
			t.Errorf("nothing about %s", name)
		}
	}
	s := newState(t)
	s.enqueue("/jobs", "resize 17")
	text := s.reply(s.must(vfs.Op{Verb: vfs.Consume, Path: "/jobs/take"}))
	for _, member := range regexp.MustCompile(`"[a-z]+":`).FindAllString(text, -1) {
		if !strings.Contains(readme, member) {
			t.Errorf("nothing about %s of %s", member, text)
		}
	}
}
