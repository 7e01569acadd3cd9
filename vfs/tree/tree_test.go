package tree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/tree"
)

// outcome renders an error as "kind (reason)", "ok" or "link At Target Rest".
func outcome(err error) string {
	var l *vfs.LinkError
	if errors.As(err, &l) {
		return fmt.Sprintf("link %s %s %s", l.At, l.Target, l.Rest)
	}
	if err == nil {
		return "ok"
	}
	s := vfs.KindOf(err).Code()
	var e *vfs.Error
	if errors.As(err, &e) && e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	return s
}

// sample holds /d/f, /d/sub, /e (empty), /f and the links /l -> d, /x -> f.
func sample(t testing.TB, o tree.Options) *state {
	s := newState(t, o)
	for _, op := range []vfs.Op{
		mkdir("/d"), put("/d/f", "in d"), mkdir("/d/sub"), mkdir("/e"), put("/f", "top"),
		link("/l", "d"), link("/x", "f"),
	} {
		s.must(op)
	}
	return s
}

func TestAnswers(t *testing.T) {
	write := func(p vfs.Path, off int64, flag vfs.Flag) vfs.Op {
		return vfs.Op{Verb: vfs.Write, Path: p, Off: off, Flag: flag, Data: []byte("new")}
	}
	size := func(p vfs.Path, n int64) vfs.Op { return vfs.Op{Verb: vfs.Truncate, Path: p, Off: n} }
	for _, c := range []struct {
		op   vfs.Op
		want string
	}{
		{verb(vfs.Create, "/n"), "ok"},
		{verb(vfs.Create, "/f"), "exists (file)"},
		{verb(vfs.Create, "/d"), "exists (file)"},
		{verb(vfs.Create, "/x"), "link /x f /"},
		{verb(vfs.Create, "/"), "exists (file)"},
		{verb(vfs.Create, "/no/n"), "not_found (parent directory)"},
		{verb(vfs.Create, "/f/n"), "not_directory"},
		{verb(vfs.Create, "/l/n"), "link /l d /n"},
		{mkdir("/n"), "ok"},
		{mkdir("/d"), "exists (directory)"},
		{mkdir("/f"), "exists (directory)"},
		{mkdir("/"), "exists (directory)"},
		{mkdir("/no/n"), "not_found"},
		{mkdir("/f/n"), "not_directory"},
		{write("/f", 0, 0), "ok"},
		{write("/n", 0, 0), "not_found"},
		{write("/no/n", 0, 0), "not_found (parent directory)"},
		{write("/no/n", 0, vfs.FlagCreate), "not_found (parent directory)"},
		{write("/n", 5, vfs.FlagCreate), "ok"},
		{write("/f/n", 0, vfs.FlagCreate), "not_directory"},
		{write("/d", 0, vfs.FlagCreate), "is_directory"},
		{write("/", 0, vfs.FlagCreate), "is_directory"},
		{write("/f", 0, vfs.FlagCreate|vfs.FlagExclusive), "exists (file)"},
		{write("/x", 0, vfs.FlagCreate|vfs.FlagExclusive), "exists (file)"},
		{write("/n", 0, vfs.FlagCreate|vfs.FlagExclusive), "ok"},
		{write("/f", vfs.AtEnd, 0), "ok"},
		{write("/f", -5, 0), "invalid (negative offset)"},
		{write("/f", vfs.MaxSize, 0), "too_large"},
		{write("/x", 0, 0), "link /x f /"},
		{write("/l/f", 0, 0), "link /l d /f"},
		{size("/f", 100), "ok"},
		{size("/f", vfs.MaxSize), "ok"},
		{size("/f", vfs.MaxSize+1), "too_large"},
		{size("/f", -1), "invalid (negative size)"},
		{size("/d", 0), "is_directory"},
		{size("/n", 0), "not_found"},
		{size("/x", 0), "link /x f /"},
		{vfs.Op{Verb: vfs.Chmod, Path: "/d", Mode: 0o700}, "ok"},
		{verb(vfs.Chmod, "/n"), "not_found"},
		{verb(vfs.Chmod, "/"), "ok"},
		{verb(vfs.Chmod, "/x"), "link /x f /"},
		{verb(vfs.Touch, "/d"), "ok"},
		{verb(vfs.Touch, "/n"), "ok"},
		{verb(vfs.Touch, "/no/n"), "not_found"},
		{verb(vfs.Touch, "/x"), "link /x f /"},
		{verb(vfs.Remove, "/f"), "ok"},
		{verb(vfs.Remove, "/x"), "ok"},
		{verb(vfs.Remove, "/e"), "ok"},
		{verb(vfs.Remove, "/d"), "not_empty"},
		{verb(vfs.Remove, "/n"), "not_found"},
		{verb(vfs.Remove, "/f/n"), "not_directory"},
		{verb(vfs.Remove, "/"), "permission (mount point)"},
		{verb(vfs.RemoveAll, "/"), "permission (mount point)"},
		{verb(vfs.RemoveAll, "/d"), "ok"},
		{verb(vfs.RemoveAll, "/f"), "ok"},
		{verb(vfs.RemoveAll, "/l"), "ok"},
		{verb(vfs.RemoveAll, "/n"), "not_found"},
		{verb(vfs.RemoveAll, "/l/f"), "link /l d /f"},
		{rename("/f", "/g"), "ok"},
		{rename("/f", "/f"), "ok"},
		{rename("/f", "/d/f"), "ok"},
		{rename("/f", "/x"), "ok"},
		{rename("/f", "/e"), "is_directory"},
		{rename("/f", "/no/g"), "not_found"},
		{rename("/f", "/f/g"), "not_directory"},
		{rename("/f", "/"), "permission (mount point)"},
		{rename("/f", "/l/g"), "link /l d /g"},
		{rename("/n", "/g"), "not_found"},
		{rename("/d", "/e"), "ok"},
		{rename("/d", "/e/g"), "ok"},
		{rename("/e", "/d"), "not_empty"},
		{rename("/d", "/f"), "not_directory"},
		{rename("/d", "/d/sub/d"), "invalid (into itself)"},
		{rename("/d", "/d/no/d"), "invalid (into itself)"},
		{rename("/", "/d"), "permission (mount point)"},
		{rename("/l", "/e/l"), "ok"},
		{link("/n", "../anywhere"), "ok"},
		{link("/f", "d"), "exists (file)"},
		{link("/d", "d"), "exists (file)"},
		{link("/l", "d"), "exists (symlink)"},
		{link("/no/n", "d"), "not_found"},
		{link("/n", ""), "invalid (target of a link is empty or too long)"},
		{verb(vfs.Consume, "/f"), "unsupported"},
		{verb(vfs.Unmount, "/f"), "unsupported"},
		{verb(0, "/f"), "unsupported"},
		{verb(255, "/f"), "unsupported"},
		{vfs.Op{Verb: vfs.Remove, Path: "/f", File: 3}, "invalid (names are changed by name, not by id)"},
		{verb(vfs.Mount, "/"), "ok"},
		{verb(vfs.Reap, "/"), "ok"},
	} {
		s := sample(t, tree.Options{Type: "t"})
		before := s.digest()
		_, err := s.apply(c.op)
		if got := outcome(err); got != c.want {
			t.Errorf("%v %s %s: %s, want %s", c.op.Verb, c.op.Path, c.op.To, got, c.want)
		}
		if err != nil && s.digest() != before {
			t.Errorf("%v %s changed the state and failed", c.op.Verb, c.op.Path)
		}
		s.check()
	}
}

func TestReadsAnswer(t *testing.T) {
	s := sample(t, tree.Options{Type: "t"})
	ctx, b := context.Background(), make([]byte, 1)
	for _, c := range []struct {
		p                vfs.Path
		stat, list, read string
	}{
		{"/", "ok", "ok", "is_directory"},
		{"/d", "ok", "ok", "is_directory"},
		{"/f", "ok", "not_directory", "ok"},
		{"/n", "not_found", "not_found", "not_found"},
		{"/no/n", "not_found", "not_found", "not_found"},
		{"/f/n", "not_directory", "not_directory", "not_directory"},
		{"/x", "ok", "link /x f /", "link /x f /"},
		{"/l/f", "link /l d /f", "link /l d /f", "link /l d /f"},
		{"/l/sub/n", "link /l d /sub/n", "link /l d /sub/n", "link /l d /sub/n"},
	} {
		_, stat := s.fs.Stat(ctx, s.rows, c.p)
		_, list := s.fs.List(ctx, s.rows, c.p, "", 0)
		_, read := s.fs.ReadAt(ctx, s.rows, c.p, b, 0)
		if got := [3]string{outcome(stat), outcome(list), outcome(read)}; got != [3]string{c.stat, c.list, c.read} {
			t.Errorf("%s: %q", c.p, got)
		}
	}
	unmounted := vfs.NewOverlay(nothing{})
	if _, err := s.fs.Stat(ctx, unmounted, "/"); !errors.Is(err, vfs.NotFound) {
		t.Errorf("stat before Mount: %v", err)
	}
}

func TestListPages(t *testing.T) {
	s := newState(t, tree.Options{})
	var want []string
	for _, n := range []string{"b", "a", "a b", "a-", "é", "Z", "aa", "日本"} {
		s.must(put(vfs.Root.Child(n), n))
		want = append(want, n)
	}
	slices.Sort(want)
	if got := s.names("/", "", 0); !slices.Equal(got, want) {
		t.Errorf("list: %q, want %q", got, want)
	}
	for limit := 1; limit < 10; limit++ {
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			page := s.names("/", after, limit)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %q", limit, got)
		}
	}
	if got := s.names("/", "aaa", 1); !slices.Equal(got, []string{"b"}) {
		t.Errorf("after a name that is not there: %q", got)
	}
}

func TestVersionsAndTimes(t *testing.T) {
	s := sample(t, tree.Options{Type: "t"})
	changed := func(p vfs.Path, op vfs.Op, content bool) {
		t.Helper()
		before := s.stat(p)
		res := s.must(op)
		after := s.stat(p)
		if after.Version != s.seq || res.Version != 0 && res.Version != s.seq {
			t.Errorf("%v: version %d, answered %d, want %d", op.Verb, after.Version, res.Version, s.seq)
		}
		if content != after.ModTime.After(before.ModTime) {
			t.Errorf("%v: time went from %v to %v", op.Verb, before.ModTime, after.ModTime)
		}
	}
	changed("/f", put("/f", "x"), true)
	changed("/f", put("/f", ""), true)
	changed("/f", vfs.Op{Verb: vfs.Truncate, Path: "/f", Off: 9}, true)
	changed("/f", verb(vfs.Touch, "/f"), true)
	changed("/d", verb(vfs.Touch, "/d"), true)
	changed("/f", vfs.Op{Verb: vfs.Chmod, Path: "/f", Mode: 0o400}, false)
	changed("/d", put("/d/new", "x"), true)
	changed("/d", mkdir("/d/newdir"), true)
	changed("/d", rename("/d/new", "/d/newer"), true)
	changed("/e", rename("/d/newer", "/e/n"), true)
	changed("/d", verb(vfs.Remove, "/d/newdir"), true)
	changed("/d", verb(vfs.RemoveAll, "/d/sub"), true)
	before := s.stat("/e/n")
	s.must(rename("/e/n", "/e/m"))
	if after := s.stat("/e/m"); after.Version != s.seq || !after.ModTime.Equal(before.ModTime) || after.ID != before.ID {
		t.Errorf("rename made %+v of %+v", after, before)
	}
	if i := s.stat("/f"); i.Mode != 0o400 {
		t.Errorf("stat %+v", i)
	}
	s.must(vfs.Op{Verb: vfs.Chmod, Path: "/d", Mode: 0o107_777})
	if m := s.stat("/d").Mode; m != vfs.ModeDir|0o7777 {
		t.Errorf("mode %o", m)
	}
}

func TestInfo(t *testing.T) {
	s := sample(t, tree.Options{Type: "memfs"})
	for _, c := range []struct {
		p    vfs.Path
		name string
		role string
		mode vfs.Mode
		size int64
	}{
		{"/", "/", "dir", vfs.ModeDir | 0o755, 0},
		{"/d", "d", "dir", vfs.ModeDir | 0o755, 0},
		{"/d/f", "f", "file", 0o644, 4},
		{"/l", "l", "symlink", vfs.ModeLink | 0o777, 1},
	} {
		i := s.stat(c.p)
		if i.Name != c.name || i.Meta.Type != c.role || i.Meta.Name != "memfs" || i.Mode != c.mode || i.Size != c.size || i.ID == 0 || i.Version == 0 {
			t.Errorf("%s: %+v", c.p, i)
		}
	}
	if i := s.stat("/l"); i.Target != "d" {
		t.Errorf("target %q", i.Target)
	}
}

func TestByID(t *testing.T) {
	s := sample(t, tree.Options{Type: "t"})
	f, sub, x := s.stat("/d/f").ID, s.stat("/d/sub").ID, s.stat("/x").ID
	append1 := vfs.Op{Verb: vfs.Write, Path: "/other", File: f, Off: vfs.AtEnd, Data: []byte("!")}
	if res := s.must(append1); res.File != f || res.N != 1 {
		t.Errorf("write answered %+v", res)
	}
	s.must(rename("/d", "/e/moved"))
	s.must(rename("/e/moved/f", "/far"))
	s.must(append1)
	if got := s.read("/far"); got != "in d!!" {
		t.Errorf("read %q", got)
	}
	if p, ok := s.fs.PathOf(s.rows, sub); p != "/e/moved/sub" || !ok {
		t.Errorf("PathOf: %s, %v", p, ok)
	}
	if p, ok := s.fs.PathOf(s.rows, s.stat("/").ID); p != "/" || !ok {
		t.Errorf("PathOf the root: %s, %v", p, ok)
	}
	for _, op := range []vfs.Op{
		{Verb: vfs.Truncate, File: f, Off: 2}, {Verb: vfs.Chmod, File: f, Mode: 0o600}, {Verb: vfs.Touch, File: f},
	} {
		s.must(op)
	}
	for _, c := range []struct {
		id   uint64
		want string
	}{{sub, "is_directory"}, {x, "invalid (is a symbolic link)"}, {1 << 40, "not_found"}} {
		if _, err := s.apply(vfs.Op{Verb: vfs.Write, File: c.id, Data: []byte("x")}); outcome(err) != c.want {
			t.Errorf("write to %d: %v", c.id, err)
		}
	}
	// A file below a removed tree is gone at once, long before it is reaped.
	s.must(put("/e/moved/again", "x"))
	again := s.stat("/e/moved/again").ID
	s.must(verb(vfs.RemoveAll, "/e"))
	s.must(verb(vfs.Remove, "/far"))
	for _, id := range []uint64{again, sub, f} {
		if _, ok := s.fs.PathOf(s.rows, id); ok {
			t.Errorf("PathOf finds %d", id)
		}
		if _, err := s.apply(vfs.Op{Verb: vfs.Touch, File: id}); !errors.Is(err, vfs.NotFound) {
			t.Errorf("touch of %d: %v", id, err)
		}
	}
	s.reap()
}

func TestRemoveAllIsSmallAndReaped(t *testing.T) {
	s := newState(t, tree.Options{})
	empty := s.count()
	var deep vfs.Path = "/t"
	s.must(mkdir(deep))
	for i := range 2500 {
		s.must(put(deep.Child(fmt.Sprint("f", i)), "content"))
		if i%25 == 0 {
			deep = deep.Child("d")
			s.must(mkdir(deep))
		}
	}
	ref := vfs.ChunkRef{Hash: [32]byte{1}, Len: 10}
	s.must(vfs.Op{Verb: vfs.Write, Path: "/t/big", Flag: vfs.FlagCreate, Refs: slices.Repeat([]vfs.ChunkRef{ref}, 3000)})
	s.must(verb(vfs.RemoveAll, "/t"))
	if s.width > 8 {
		t.Errorf("RemoveAll changed %d rows", s.width)
	}
	s.gone("/t")
	s.must(put("/t", "the name is free"))
	s.must(verb(vfs.Remove, "/t"))
	s.check()
	if ops := s.reap(); ops < 10 || ops > 20 {
		t.Errorf("%d Reaps", ops)
	}
	if got := s.count(); got != empty {
		t.Errorf("%d rows are left, want %d", got, empty)
	}
	if n := s.counts[ref.Hash]; n != 0 {
		t.Errorf("the chunk is counted %d times", n)
	}
}

func TestRenameIsSmall(t *testing.T) {
	s := sample(t, tree.Options{})
	for i := range 2000 {
		s.must(put(vfs.Path(fmt.Sprint("/d/f", i)), "x"))
	}
	s.must(rename("/d", "/e/d"))
	if s.width > 8 {
		t.Errorf("rename changed %d rows", s.width)
	}
	if got := len(s.names("/e/d", "", 0)); got != 2002 {
		t.Errorf("%d entries", got)
	}
}

func TestReplacingLongContentIsBounded(t *testing.T) {
	ref := vfs.ChunkRef{Hash: [32]byte{1}, Len: 10}
	long := vfs.Op{Verb: vfs.Write, Path: "/f", Flag: vfs.FlagCreate | vfs.FlagTruncate, Refs: slices.Repeat([]vfs.ChunkRef{ref}, 4000)}
	for name, op := range map[string]vfs.Op{
		"write": put("/f", "short"), "truncate": {Verb: vfs.Truncate, Path: "/f"},
		"remove": verb(vfs.Remove, "/f"), "rename": rename("/g", "/f"),
	} {
		s := newState(t, tree.Options{})
		s.must(put("/g", "short"))
		empty := s.count()
		s.must(long)
		s.must(op)
		if s.width > 1020 {
			t.Errorf("%s changed %d rows", name, s.width)
		}
		s.check()
		s.reap()
		if got := s.count(); got > empty+3 {
			t.Errorf("%s: %d rows are left, want about %d", name, got, empty)
		}
		if n := s.counts[ref.Hash]; n != 0 {
			t.Errorf("%s: the chunk is counted %d times", name, n)
		}
		// The file lives on, and can be given up again while the first is reaped.
		s.must(long)
		s.must(long)
		s.must(long)
		s.reap()
		s.check()
		if n := s.counts[ref.Hash]; n != 4000 {
			t.Errorf("%s: the chunk is counted %d times", name, n)
		}
	}
}

func TestMountStarts(t *testing.T) {
	o := tree.Options{
		Type: "t", Readme: true, Dirs: []vfs.Path{"/a/b/c", "/a", "/README.d", "/"},
		Files: []tree.File{{Path: "/a/x/f", Data: []byte("f")}, {Path: "/big", Data: bytes.Repeat([]byte("0123456789"), 10_000)}},
	}
	s := newState(t, o)
	s.check()
	if got := s.names("/", "", 0); !slices.Equal(got, []string{"README", "README.d", "a", "big"}) {
		t.Errorf("root: %q", got)
	}
	if s.read("/a/x/f") != "f" || s.read("/README") != "read me" || s.read("/big") != strings.Repeat("0123456789", 10_000) {
		t.Error("content is wrong")
	}
	if i := s.stat("/README"); i.Mode != 0o444 || i.Meta.Type != "file" {
		t.Errorf("README: %+v", i)
	}
	before := s.digest()
	s.must(verb(vfs.Mount, "/"))
	if s.digest() != before {
		t.Error("a second Mount changed the state")
	}
}

func TestContradictions(t *testing.T) {
	f := func(ps ...vfs.Path) (fs []tree.File) {
		for _, p := range ps {
			fs = append(fs, tree.File{Path: p})
		}
		return fs
	}
	for i, o := range []tree.Options{
		{Readme: true, Dirs: []vfs.Path{"/README"}},
		{Readme: true, Dirs: []vfs.Path{"/README/d"}},
		{Readme: true, Files: f("/README")},
		{Files: f("/a", "/a")},
		{Files: f("/a", "/a/b")},
		{Files: f("/a/b", "/a")},
		{Files: f("/")},
		{Dirs: []vfs.Path{"/a"}, Files: f("/a")},
	} {
		if _, err := tree.New(o); vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestUndeclaredVerb(t *testing.T) {
	s := newState(t, tree.Options{Verbs: vfs.Verbs(vfs.Write)})
	if _, err := s.apply(mkdir("/d")); !errors.Is(err, vfs.Unsupported) {
		t.Errorf("mkdir: %v", err)
	}
	s.must(put("/f", "x"))
}

// LinkOn finds the links that Stat answers with, on the way and at the end.
func TestLinkOn(t *testing.T) {
	s := sample(t, tree.Options{})
	for _, p := range []vfs.Path{"/", "/d", "/d/f", "/d/none", "/d/f/x", "/none/x", "/l", "/l/f", "/l/sub/deep", "/x", "/x/y", "/f"} {
		for _, final := range []bool{false, true} {
			info, err := s.fs.Stat(t.Context(), s.rows, p)
			if err == nil && final && info.Mode.IsLink() {
				err = &vfs.LinkError{At: p, Target: info.Target, Rest: vfs.Root}
			}
			want := "none"
			if strings.HasPrefix(outcome(err), "link ") {
				want = outcome(err)
			}
			got := "none"
			if l := s.fs.LinkOn(s.rows, p, final); l != nil {
				got = outcome(l)
			}
			if got != want {
				t.Errorf("%s, final %v: the link is %s, Stat knows %s", p, final, got, want)
			}
		}
	}
}
