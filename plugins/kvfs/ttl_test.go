package kvfs_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pfs-project/pfs/plugins/kvfs"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

type state struct {
	t *testing.T
	*vfstest.State
	*kvfs.FS
}

func newState(t *testing.T) *state {
	fs, err := kvfs.Plugin().New(vfs.Env{Chunks: vfstest.NewChunks()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &state{t, vfstest.NewState(), fs.(*kvfs.FS)}
	s.must(vfs.Op{Verb: vfs.Mount, Path: vfs.Root})
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

func set(key, value, ttl string) vfs.Op {
	op := vfs.Op{Verb: vfs.Write, Path: vfs.Path("/keys/" + key), Flag: vfs.FlagCreate | vfs.FlagTruncate, Data: []byte(value)}
	if ttl != "" {
		op.Target = vfs.Options{"ttl": ttl}.Encode()
	}
	return op
}

// expires returns what stat says of a key's end; "" for none, "-" if it is gone.
func (s *state) expires(key string) string {
	i, err := s.Stat(context.Background(), s.View(), vfs.Path("/keys/"+key))
	if err != nil {
		return "-"
	}
	return i.Meta.Content["expires"]
}

// wait lets time go by and does what is due, as a leader would.
func (s *state) wait(d time.Duration) {
	s.t.Helper()
	s.Advance(d)
	for range 100 {
		ops, _ := s.Due(s.View(), s.Now())
		if len(ops) == 0 {
			return
		}
		for _, op := range ops {
			s.must(op)
		}
	}
	s.t.Fatal("something is due for ever")
}

// ends counts the rows that keep the ends of keys.
func (s *state) ends() (n int) {
	for _, space := range []string{"t", "x"} {
		for range s.View().Scan([]byte(space), nil) {
			n++
		}
	}
	return n
}

func TestKeysEnd(t *testing.T) {
	s := newState(t)
	s.must(set("a", "1", "10s"))
	s.must(set("b/c", "2", "20"))
	s.must(set("d", "3", ""))
	if s.expires("a") == "" || s.expires("b/c") == "" || s.expires("d") != "" {
		t.Errorf("ends: %q %q %q", s.expires("a"), s.expires("b/c"), s.expires("d"))
	}
	s.wait(9 * time.Second)
	if s.expires("a") == "-" {
		t.Error("a ended early")
	}
	s.wait(2 * time.Second)
	if s.expires("a") != "-" || s.expires("b/c") == "-" {
		t.Errorf("after 11 s: %q %q", s.expires("a"), s.expires("b/c"))
	}
	s.wait(10 * time.Second)
	if s.expires("b/c") != "-" || s.expires("d") != "" || s.ends() != 0 {
		t.Errorf("after 21 s: %q %q, %d rows", s.expires("b/c"), s.expires("d"), s.ends())
	}
	if err := s.Check(s.View()); err != nil {
		t.Error(err)
	}
}

// TestWhatChangesAnEnd: a new value lives as long as it says; other changes of
// a key leave its end, and it follows the key to another name.
func TestWhatChangesAnEnd(t *testing.T) {
	s := newState(t)
	s.must(set("k", "1", "10s"))
	first := s.expires("k")
	for _, op := range []vfs.Op{
		{Verb: vfs.Write, Path: "/keys/k", Off: vfs.AtEnd, Data: []byte("2")},
		{Verb: vfs.Truncate, Path: "/keys/k"},
		{Verb: vfs.Touch, Path: "/keys/k"},
		{Verb: vfs.Chmod, Path: "/keys/k", Mode: 0o600},
	} {
		if s.must(op); s.expires("k") != first {
			t.Errorf("%v: the end became %q", op.Verb, s.expires("k"))
		}
	}
	s.must(vfs.Op{Verb: vfs.Rename, Path: "/keys/k", To: "/keys/l"})
	if s.expires("l") != first {
		t.Errorf("renamed: %q", s.expires("l"))
	}
	if s.must(set("l", "3", "1h")); s.expires("l") == first || s.ends() != 2 {
		t.Errorf("set again: %q, %d rows", s.expires("l"), s.ends())
	}
	if s.must(set("l", "4", "")); s.expires("l") != "" || s.ends() != 0 {
		t.Errorf("set for ever: %q, %d rows", s.expires("l"), s.ends())
	}
	s.must(set("l", "5", "1h"))
	if s.must(set("l", "6", "0")); s.expires("l") != "" {
		t.Errorf("ttl 0: %q", s.expires("l"))
	}
	s.must(set("m", "7", "1h"))
	if s.must(vfs.Op{Verb: vfs.Rename, Path: "/keys/l", To: "/keys/m"}); s.expires("m") != "" || s.ends() != 0 {
		t.Errorf("replaced: %q, %d rows", s.expires("m"), s.ends())
	}
}

// TestEndsLeaveNothing: keys that go in another way take their ends along, and
// a key that is made again under a name does not inherit one.
func TestEndsLeaveNothing(t *testing.T) {
	s := newState(t)
	for i := range 300 {
		s.must(set(fmt.Sprintf("d/%03d", i), "x", "1h"))
	}
	s.must(set("one", "x", "1s"))
	s.must(vfs.Op{Verb: vfs.Remove, Path: "/keys/one"})
	s.must(set("one", "y", ""))
	s.must(vfs.Op{Verb: vfs.RemoveAll, Path: "/keys/d"})
	s.wait(time.Minute)
	if s.expires("one") != "" || s.ends() != 0 {
		t.Errorf("one: %q, %d rows", s.expires("one"), s.ends())
	}
	for i := range 300 {
		s.must(set(fmt.Sprintf("d/%03d", i), "x", "1s"))
	}
	s.Advance(2 * time.Second)
	ops, _ := s.Due(s.View(), s.Now())
	if len(ops) != 1 {
		t.Fatalf("due: %v", ops)
	}
	if r := s.must(ops[0]); r.N != 64 {
		t.Errorf("one Reap ended %d keys", r.N)
	}
	s.wait(0)
	if s.ends() != 0 || s.expires("d/299") != "-" {
		t.Errorf("%d rows are left", s.ends())
	}
}

func TestTTLTexts(t *testing.T) {
	s := newState(t)
	for _, text := range []string{"1ms", "5", "0.5", "87600h"} {
		s.must(set("k", "", text))
	}
	for _, text := range []string{"", "-1s", "1us", "soon", "NaN", "87601h", "1e300", "-5"} {
		op := set("k", "", "")
		op.Target = "ttl=" + text
		if _, err := s.State.Apply(s.FS, op); vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}
