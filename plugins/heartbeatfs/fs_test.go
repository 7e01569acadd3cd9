package heartbeatfs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// Test holds the plugin to the laws of all filesystems and plays its scripts.
func Test(t *testing.T) {
	vfstest.Run(t, vfstest.Subject{Plugin: Plugin(), Config: vfs.Config{}, Scripts: "testdata"})
}

func TestSettings(t *testing.T) {
	for value, want := range map[any]time.Duration{
		nil: 5 * time.Minute, 30: 30 * time.Second, 1.0: time.Second, "45": 45 * time.Second, "2m": 2 * time.Minute,
		0: 0, -1: 0, "soon": 0, "-3s": 0, 1 << 60: 0, "100000h": 0,
	} {
		c := vfs.Config{"default_timeout": value}
		if value == nil {
			c = nil
		}
		fs, err := Plugin().New(vfs.Env{}, c)
		if want == 0 && (vfs.KindOf(err) != vfs.Invalid || err == nil) {
			t.Errorf("%v: %v, %v", value, fs, err)
		}
		if want != 0 && (err != nil || fs.(FS).timeout != want) {
			t.Errorf("%v: %v, %v, want %v", value, fs, err, want)
		}
	}
}

// Items end when their time is over in the log, not before, and a beat that is
// in the log before the Reap keeps them.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 3))
		s, f := vfstest.NewState(), FS{time.Minute}
		must := func(op vfs.Op) { // any answer will do; what it did is looked at below
			if _, err := s.Apply(f, op); vfs.KindOf(err) == vfs.Internal {
				t.Fatal(err)
			}
		}
		must(vfs.Op{Verb: vfs.Mount, Path: vfs.Root})
		type life struct {
			beat    time.Time
			timeout time.Duration
		}
		model := map[string]life{}
		for range 300 {
			s.Advance(time.Duration(r.IntN(20)) * time.Second)
			name := fmt.Sprint(r.IntN(6))
			p, at := vfs.Root.Child(name), s.Now()
			l, alive := model[name]
			switch r.IntN(5) {
			case 0:
				must(vfs.Op{Verb: vfs.Mkdir, Path: p})
				if !alive {
					model[name] = life{at, time.Minute}
				}
			case 1, 2:
				must(vfs.Op{Verb: vfs.Touch, Path: p.Child("keepalive")})
				if l.beat = at; alive {
					model[name] = l
				}
			case 3:
				n := 1 + r.IntN(100)
				must(vfs.Op{Verb: vfs.Write, Path: p.Child("ctl"), Data: fmt.Appendf(nil, "timeout=%d", n)})
				if l.timeout = time.Duration(n) * time.Second; alive {
					model[name] = l
				}
			case 4:
				must(vfs.Op{Verb: vfs.Reap, Path: vfs.Root})
				for n, l := range model {
					if !l.beat.Add(l.timeout).After(at) {
						delete(model, n)
					}
				}
			}
			compare(t, f, s, slices.Sorted(maps.Keys(model)))
		}
	}
}

func compare(t *testing.T, f FS, s *vfstest.State, want []string) {
	t.Helper()
	infos, err := f.List(t.Context(), s.View(), vfs.Root, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range infos {
		if i.IsDir() {
			got = append(got, i.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("items %v, want %v", got, want)
	}
	rows := 0
	for range s.View().Scan([]byte{rowExpiry}, nil) {
		rows++
	}
	if rows != len(want) {
		t.Fatalf("%d rows of when items end, for %d items", rows, len(want))
	}
}

// The leader is told when to come back, and has a Reap to propose when it does.
func TestDue(t *testing.T) {
	s, f := vfstest.NewState(), FS{time.Minute}
	apply := func(op vfs.Op) vfs.Result {
		r, err := s.Apply(f, op)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	apply(vfs.Op{Verb: vfs.Mount, Path: vfs.Root})
	if ops, next := f.Due(s.View(), s.Now()); len(ops) > 0 || !next.IsZero() {
		t.Errorf("with no items: %v, %v", ops, next)
	}
	for i := range reapItems + 1 {
		apply(vfs.Op{Verb: vfs.Mkdir, Path: vfs.Root.Child(fmt.Sprint(i))})
	}
	_, next := f.Due(s.View(), s.Now())
	if left := next.Sub(s.Now()); left <= 0 || left > time.Minute {
		t.Errorf("comes back in %v", left)
	}
	s.Advance(time.Minute)
	for _, want := range []int64{reapItems, 1} {
		ops, _ := f.Due(s.View(), s.Now())
		if len(ops) != 1 || apply(ops[0]).N != want {
			t.Errorf("%v", ops)
		}
	}
	if ops, next := f.Due(s.View(), s.Now()); len(ops) > 0 || !next.IsZero() {
		t.Errorf("at the end: %v, %v", ops, next)
	}
}
