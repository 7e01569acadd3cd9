package tree_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/tree"
)

// model is a tree as a map: nil is a directory.
type model map[vfs.Path]*string

func (m model) isDir(p vfs.Path) bool { s, ok := m[p]; return ok && s == nil }

func (m model) has(p vfs.Path) bool { _, ok := m[p]; return ok }

func (m model) below(p vfs.Path) (out []vfs.Path) {
	for q := range m {
		if q != p && q.Under(p) {
			out = append(out, q)
		}
	}
	return out
}

// throughFile reports whether a file is in the way to p.
func (m model) throughFile(p vfs.Path) bool {
	for d := p.Dir(); !d.IsRoot(); d = d.Dir() {
		if m.has(d) && !m.isDir(d) {
			return true
		}
	}
	return false
}

// apply does op as a filesystem would and answers the kind of its failure.
func (m model) apply(op vfs.Op) vfs.Kind {
	if m.throughFile(op.Path) {
		return vfs.NotDirectory
	}
	p, there := op.Path, m.has(op.Path)
	orphaned := !m.isDir(p.Dir())
	switch op.Verb {
	case vfs.Mkdir:
		switch {
		case there:
			return vfs.Exists
		case orphaned:
			return vfs.NotFound
		}
		m[p] = nil
	case vfs.Write:
		switch {
		case m.isDir(p):
			return vfs.IsDirectory
		case orphaned:
			return vfs.NotFound
		case !there || op.Flag&vfs.FlagTruncate != 0:
			m[p] = new(string)
		}
		b := []byte(*m[p])
		off := int(op.Off)
		if op.Off == vfs.AtEnd {
			off = len(b)
		}
		if end := off + len(op.Data); len(op.Data) > 0 && end > len(b) {
			b = append(b, make([]byte, end-len(b))...)
		}
		if len(op.Data) > 0 {
			copy(b[off:], op.Data)
		}
		*m[p] = string(b)
	case vfs.Remove, vfs.RemoveAll:
		below := m.below(p)
		switch {
		case !there:
			return vfs.NotFound
		case op.Verb == vfs.Remove && len(below) > 0:
			return vfs.NotEmpty
		}
		for _, q := range append(below, p) {
			delete(m, q)
		}
	case vfs.Rename:
		return m.rename(p, op.To)
	}
	return 0
}

func (m model) rename(p, to vfs.Path) vfs.Kind {
	switch {
	case !m.has(p):
		return vfs.NotFound
	case p == to:
		return 0
	case m.isDir(p) && to.Under(p):
		return vfs.Invalid
	case m.throughFile(to):
		return vfs.NotDirectory
	case !m.has(to) && !m.isDir(to.Dir()):
		return vfs.NotFound
	case m.has(to) && m.isDir(p) && !m.isDir(to):
		return vfs.NotDirectory
	case m.isDir(to) && !m.isDir(p):
		return vfs.IsDirectory
	case m.isDir(to) && len(m.below(to)) > 0:
		return vfs.NotEmpty
	}
	for _, q := range append(m.below(p), p) {
		s := m[q]
		delete(m, q)
		m[to.Join(q.Rel(p))] = s
	}
	return 0
}

// compare reads the whole tree and compares it with the model.
func (m model) compare(s *state, dir vfs.Path, seen *int) {
	s.t.Helper()
	for _, name := range s.names(dir, "", 0) {
		p := dir.Child(name)
		*seen++
		want, ok := m[p]
		switch i := s.stat(p); {
		case !ok || i.IsDir() != (want == nil):
			s.t.Fatalf("%s: there %v, directory %v", p, ok, i.IsDir())
		case i.IsDir():
			m.compare(s, p, seen)
		case s.read(p) != *want:
			s.t.Fatalf("%s holds %q, want %q", p, s.read(p), *want)
		}
	}
}

func randomOp(r *rand.Rand) vfs.Op {
	path := func() vfs.Path {
		p := vfs.Root
		for range 1 + r.IntN(4) {
			p = p.Child(string(rune('a' + r.IntN(3))))
		}
		return p
	}
	p := path()
	switch r.IntN(10) {
	case 0, 1, 2:
		return mkdir(p)
	case 3:
		return rename(p, path())
	case 4:
		return verb(vfs.Remove, p)
	case 5:
		if r.IntN(3) == 0 {
			return verb(vfs.RemoveAll, p)
		}
		return rename(p, path())
	}
	op := put(p, strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(50)))
	switch r.IntN(3) {
	case 0:
		op.Flag, op.Off = vfs.FlagCreate, int64(r.IntN(60))
	case 1:
		op.Flag, op.Off = vfs.FlagCreate, vfs.AtEnd
	}
	return op
}

func TestRandomAgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		s, again := newState(t, tree.Options{}), newState(t, tree.Options{})
		empty := s.count()
		m := model{"/": nil}
		for range 400 {
			op := randomOp(r)
			want := m.apply(op)
			_, err := s.apply(op)
			if vfs.KindOf(err) != want {
				t.Fatalf("seed %d: %v %s %s: %v, want %v", seed, op.Verb, op.Path, op.To, err, want)
			}
			if r.IntN(20) == 0 {
				_, _ = s.apply(verb(vfs.Reap, "/"))
				_, _ = again.apply(op)
				_, _ = again.apply(verb(vfs.Reap, "/"))
				continue
			}
			_, _ = again.apply(op)
		}
		s.check()
		seen := 1
		if m.compare(s, "/", &seen); seen != len(m) {
			t.Fatalf("seed %d: %d names, want %d", seed, seen, len(m))
		}
		if s.digest() != again.digest() {
			t.Fatalf("seed %d: the same Ops give two states", seed)
		}
		for _, name := range s.names("/", "", 0) {
			s.must(verb(vfs.RemoveAll, vfs.Root.Child(name)))
		}
		s.reap()
		if got := s.count(); got != empty {
			t.Fatalf("seed %d: %d rows are left, want %d", seed, got, empty)
		}
	}
}

// TestReadersBesideWriter reads one moment while later ones are folded in.
func TestReadersBesideWriter(t *testing.T) {
	s := newState(t, tree.Options{})
	s.must(mkdir("/d"))
	old := strings.Repeat("old", 1000)
	s.must(put("/d/f", old))
	frozen := vfs.NewOverlay(nothing{})
	s.rows.Flush(frozen)
	frozen.Len()
	for range frozen.Scan(nil, nil) { // sorts it: from here on it is only read
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			b := make([]byte, len(old))
			for range 200 {
				if _, err := s.fs.ReadAt(context.Background(), frozen, "/d/f", b, 0); err != nil || !bytes.Equal(b, []byte(old)) {
					t.Errorf("read: %v", err)
				}
			}
		})
	}
	for i := range 200 {
		s.must(put("/d/f", fmt.Sprint(i)))
	}
	wg.Wait()
}

// FuzzOps folds Ops that bytes name; nothing may panic or break the tree.
func FuzzOps(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		s := newState(t, tree.Options{Home: "/a", Outside: "outside", Dirs: []vfs.Path{"/a"}, Parents: true})
		for range 60 {
			op := randomOp(r)
			if r.IntN(8) == 0 {
				op.Path = "/a"
			}
			switch r.IntN(12) {
			case 0:
				op.Verb, op.Target = vfs.Symlink, "b"
			case 1:
				op.Verb, op.Off = vfs.Truncate, int64(r.IntN(3)*1000)
			case 2:
				op.Verb, op.File = vfs.Write, uint64(r.IntN(30))
			case 3:
				op.Verb = vfs.Reap
			}
			_, _ = s.apply(op)
			s.check()
		}
		s.reap()
		if i := s.stat("/a"); !i.IsDir() {
			t.Fatal("the home directory is gone")
		}
		if got := s.names("/", "", 0); len(got) != 1 {
			t.Fatalf("%q beside the home directory", got)
		}
	})
}

func BenchmarkWriteSmall(b *testing.B) {
	s := newState(b, tree.Options{})
	s.must(mkdir("/d"))
	text := strings.Repeat("x", 256)
	for i := 0; b.Loop(); i++ {
		s.must(put(vfs.Path(fmt.Sprint("/d/", i%1000)), text))
	}
}
