package fsm

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// One batch of entries is applied in one go, and yet readers get the state
// after the very entry that they asked for.
func TestImageAt(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/b", "box"))
	at := r.Applied()
	type answer struct {
		img *Image
		err error
	}
	ask := func(index uint64) chan answer {
		got := make(chan answer, 1)
		want := r.marked() + 1
		go func() {
			i, err := r.ImageAt(t.Context(), index)
			got <- answer{i, err}
		}()
		for end := time.Now().Add(time.Minute); r.marked() < want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nobody waits")
			}
		}
		return got
	}
	waiting := []chan answer{ask(at + 2), ask(at + 5), ask(at + 3), ask(at + 3), ask(at + 9)}
	var logs []*raft.Log
	for _, k := range []uint64{1, 2, 3, 4, 7, 8} { // 5 and 6 are not for the state machine
		b := wire.AppendBatch(nil, []vfs.Event{{Time: time.Unix(int64(k), 0), Request: vfs.Request{Ops: []vfs.Op{write(vfs.Path(fmt.Sprint("/b/", k)), "x")}}}})
		logs = append(logs, &raft.Log{Index: at + k, Term: 1, Type: raft.LogCommand, Data: b})
	}
	r.ApplyBatch(logs)
	for k, want := range map[int]int{0: 2, 1: 4, 2: 3, 3: 3} {
		a := <-waiting[k]
		if a.err != nil {
			t.Fatal(a.err)
		}
		files, err := a.img.Table.List(t.Context(), a.img.View, "/b", "", 0)
		if err != nil || len(files) != want {
			t.Errorf("mark %d: %d files, %v", k, len(files), err)
		}
		a.img.Release()
	}
	if _, err := r.ImageAt(t.Context(), at+7); vfs.KindOf(err) != vfs.Conflict {
		t.Errorf("an index that has passed: %v", err)
	}
	if i, err := r.ImageAt(t.Context(), at+8); err != nil || i.Index != at+8 {
		t.Errorf("the present index: %v", err)
	} else {
		i.Release()
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.ImageAt(ended, at+20); !errors.Is(err, context.Canceled) || r.marked() != 1 {
		t.Errorf("nobody waits any more: %v, %d", err, r.marked())
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if a := <-waiting[4]; vfs.KindOf(a.err) != vfs.Unavailable {
		t.Errorf("after the end: %v", a.err)
	}
}

func (m *Machine) marked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.marks)
}

// The parts of the state have a hash each, and the hash of the whole does not
// depend on whether they were asked for.
func TestMountSums(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/b", "box"))
	r.must(mountOp("/c", "box"))
	sums := func() []MountSum {
		i := r.Image()
		defer i.Release()
		s, of, err := i.Sums(t.Context(), true)
		plain, perr := r.Sums(t.Context())
		if err != nil || perr != nil || plain != s {
			t.Errorf("%v, %v: %x, %x", err, perr, s, plain)
		}
		return of
	}
	was := sums()
	r.must(write("/c/x", "1"))
	now := sums()
	var names, changed []string
	for k, m := range now {
		names = append(names, m.Name)
		if m != was[k] {
			changed = append(changed, m.Name)
		}
	}
	if fmt.Sprint(names, changed) != "[system /b /c] [/c]" {
		t.Error(names, changed)
	}
	r.must(vfs.Op{Verb: vfs.Unmount, Path: "/c"})
	if m := sums(); len(m) != 3 || m[2].Name == "/c" || m[2].Sum != now[2].Sum {
		t.Errorf("%v", m)
	}
}
