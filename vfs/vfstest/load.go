package vfstest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// clientVerbs are those that clients ask a filesystem for, those that make
// something first.
var clientVerbs = [...]vfs.Verb{
	vfs.Mkdir, vfs.Create, vfs.Write, vfs.Touch, vfs.Truncate, vfs.Chmod,
	vfs.Symlink, vfs.Rename, vfs.Consume, vfs.Remove, vfs.RemoveAll,
}

// names are what random Ops call new files: few, so that they meet.
var names = [...]string{"a", "b", "c", "d e", "ü", "README", "z"}

// load is a source of random Ops for a filesystem of which nothing is known.
type load struct {
	c     *court
	f     *Fold
	r     *rand.Rand
	paths []vfs.Path // of files; refreshed now and then
	dirs  []vfs.Path
	age   int
}

func (c *court) load(f *Fold, seed uint64) *load {
	return &load{c: c, f: f, r: rand.New(rand.NewPCG(seed, 7))}
}

// look finds out what is there. It is not done before every Op, so that some
// go to what is gone.
func (l *load) look() error {
	if l.age--; l.age > 0 {
		return nil
	}
	all, err := l.f.files(l.c, l.f.view(), vfs.Root)
	if err != nil {
		return err
	}
	l.paths, l.dirs, l.age = nil, nil, 1+l.r.IntN(4)
	for _, e := range all {
		l.paths = append(l.paths, e.path)
		if e.info.IsDir() {
			l.dirs = append(l.dirs, e.path)
		}
	}
	if len(l.dirs) == 0 {
		l.dirs = append(l.dirs, vfs.Root) // a mount that is one file
	}
	return nil
}

// path picks a name, of a file that is there or beside one.
func (l *load) path() vfs.Path {
	if l.r.IntN(2) == 0 {
		return l.paths[l.r.IntN(len(l.paths))]
	}
	p := l.dirs[l.r.IntN(len(l.dirs))].Child(names[l.r.IntN(len(names))])
	if l.r.IntN(8) == 0 {
		p = p.Child(names[l.r.IntN(len(names))])
	}
	return p
}

// next makes one Op, of the verbs that pick chooses from.
func (l *load) next() (vfs.Op, error) {
	if err := l.look(); err != nil {
		return vfs.Op{}, err
	}
	var declared []vfs.Verb
	for _, v := range clientVerbs {
		if l.c.Plugin.Verbs.Has(v) {
			declared = append(declared, v)
		}
	}
	verb := clientVerbs[l.r.IntN(len(clientVerbs))]
	if len(declared) > 0 && l.r.IntN(12) > 0 {
		verb = declared[l.r.IntN(len(declared))]
	}
	destroys := verb == vfs.RemoveAll || verb == vfs.Remove || verb == vfs.Rename || verb == vfs.Truncate
	if destroys && l.r.IntN(3) > 0 { // or little would ever be there
		verb = []vfs.Verb{vfs.Write, vfs.Write, vfs.Mkdir}[l.r.IntN(3)]
	}
	op := vfs.Op{Verb: verb, Path: l.path()}
	switch verb {
	case vfs.Write:
		l.fillWrite(&op)
	case vfs.Truncate:
		op.Off = []int64{0, 1, 7, 3000, -1}[l.r.IntN(5)]
	case vfs.Chmod, vfs.Create, vfs.Mkdir:
		op.Mode = []vfs.Mode{0, 0o600, 0o755}[l.r.IntN(3)]
	case vfs.Rename:
		op.To = l.path()
	case vfs.Symlink:
		op.Target = []string{"a", "../b", "nowhere", "/c"}[l.r.IntN(4)]
	}
	return op, nil
}

func (l *load) fillWrite(op *vfs.Op) {
	op.Flag = vfs.FlagCreate
	switch l.r.IntN(12) {
	case 0:
		op.Flag |= vfs.FlagAppend
		op.Off = vfs.AtEnd
	case 1:
		op.Off = l.r.Int64N(5000)
	case 2:
		op.Flag |= vfs.FlagExclusive
	case 3:
		op.Flag = 0
	case 4:
		op.Off = -7
	default:
		op.Flag |= vfs.FlagTruncate
	}
	data := l.bytes(l.r.IntN(40))
	if l.r.IntN(6) == 0 {
		l.f.Chunks.Split(op, l.bytes(1+l.r.IntN(50_000)))
	} else {
		op.Data = data
	}
}

// bytes are random, every third time text.
func (l *load) bytes(n int) []byte {
	b := make([]byte, n)
	text := l.r.IntN(3) == 0
	for i := range b {
		b[i] = byte(l.r.Uint32())
		if text {
			b[i] = 'a' + b[i]%26
		}
	}
	return b
}

// step is an Event that was tried, and what came of it.
type step struct {
	pause   time.Duration // before it
	settle  bool          // what a Timer asks for is done before it
	ops     []vfs.Op
	results []vfs.Result
	err     error
}

// run tries n Events: mostly one Op, sometimes a few, in time that goes on and
// with what a Timer asks for in between. seen may be nil.
func (l *load) run(n int, seen func(step) error) error {
	for range n {
		s := step{
			pause:  time.Duration(l.r.IntN(2000)) * time.Millisecond,
			settle: l.r.IntN(10) == 0,
		}
		size := 1
		if l.r.IntN(6) == 0 && l.f.folder != nil {
			size = 2 + l.r.IntN(2)
		}
		for range size {
			op, err := l.next()
			if err != nil {
				return err
			}
			s.ops = append(s.ops, op)
		}
		if err := l.f.try(l.c, &s); err != nil {
			return err
		}
		if err := kindly(s); err != nil {
			return err
		}
		if seen != nil {
			if err := seen(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// try applies the Ops of s and keeps what comes of it in s. It fails only when
// the work that time brings does.
func (f *Fold) try(c *court, s *step) error {
	if f.folder == nil {
		var r vfs.Result
		r, s.err = f.device.Do(c.ctx, s.ops[0])
		s.results = []vfs.Result{r}
		return nil
	}
	f.State.Advance(s.pause)
	if s.settle {
		if err := f.State.Settle(f.folder); err != nil {
			return err
		}
	}
	s.results, s.err = f.State.Event(f.folder, s.ops...)
	return nil
}

// kindly checks that a failure says what kind it is.
func kindly(s step) error {
	var link *vfs.LinkError
	if s.err == nil || errors.As(s.err, &link) || vfs.KindOf(s.err) != vfs.Internal {
		return nil
	}
	return fmt.Errorf("%v %s fails without a kind: %w", s.ops[0].Verb, s.ops[0].Path, s.err)
}

// loaded is mount with n random Events applied.
func (c *court) loaded(seed uint64, n int) (*Fold, error) {
	f, err := c.mount()
	if err != nil {
		return nil, err
	}
	return f, c.load(f, seed).run(n, nil)
}
