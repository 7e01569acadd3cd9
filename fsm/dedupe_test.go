package fsm

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pfs-project/pfs/vfs"
)

func TestReplay(t *testing.T) {
	fs := pebblevfs.NewMem()
	open := func() *rig { return newRig(t, func(o *Options) { o.Store = memoryStore(t, fs) }) }
	r := open()
	r.must(mountOp("/b", "box"))
	r.must(write("/b/take", "job"))
	first := r.do(keyed(r.event(vfs.Op{Verb: vfs.Consume, Path: "/b/take"}), "k"))
	failed := r.do(keyed(r.event(vfs.Op{Verb: vfs.Remove, Path: "/b/none"}), "e"))
	r.must(write("/b/take", "other"))
	r.must(write("/b/none", "there by now"))
	if first.Err != nil || first.Replayed || failed.Err == nil {
		t.Fatal(first, failed)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open()
	before := r.digest()
	for key, want := range map[string]vfs.Outcome{"k": first, "e": failed} {
		got := r.do(keyed(r.event(vfs.Op{Verb: vfs.Consume, Path: "/b/take"}), key))
		want.Replayed = true
		if fmt.Sprint(got) != fmt.Sprint(want) || !reflect.DeepEqual(got.Results, want.Results) {
			t.Errorf("%s: got %v, want %v", key, got, want)
		}
	}
	other := keyed(r.event(vfs.Op{Verb: vfs.Consume, Path: "/b/take"}), "k")
	other.Sum[0]++
	if out := r.do(other); vfs.KindOf(out.Err) != vfs.KeyReused || out.Index != r.next-1 {
		t.Error(out)
	}
	if r.digest() != before {
		t.Error("a replay changed the state")
	}
	if r.read("/b/take") != "other" {
		t.Error("a second message was taken")
	}
}

// A failed Event under a key leaves its answer, and neither number nor time.
func TestFailedAnswerIsKept(t *testing.T) {
	r := newRig(t, nil)
	last := r.must(mountOp("/b", "box")).Seq
	r.clock = r.clock.Add(time.Hour)
	before := r.digest()
	if out := r.do(keyed(r.event(write("/b/x", "bad")), "k")); out.Err == nil || r.digest() == before {
		t.Error("nothing was kept")
	}
	img := r.Image()
	defer img.Release()
	if !img.Now().Equal(r.clock.Add(-time.Hour)) || img.Seq != last {
		t.Errorf("time %v, seq %d", img.Now(), img.Seq)
	}
}

// An Op that has to be routed again is decided by its next try.
func TestMovedIsNotKept(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/b", "box"))
	op := write("/b/x", "1")
	op.Mount = 999
	if out := r.do(keyed(r.event(op), "k")); vfs.KindOf(out.Err) != vfs.Moved {
		t.Fatal(out.Err)
	}
	if out := r.do(keyed(r.event(write("/b/x", "1")), "k")); out.Err != nil || out.Replayed {
		t.Error(out)
	}
}

func TestEviction(t *testing.T) {
	answers := func(r *rig, from, to int) (known []int) {
		for i := from; i < to; i++ {
			f := r.newFold()
			ev := keyed(r.event(), fmt.Sprint("k", i))
			if _, ok := f.recall(&ev, r.clock.UnixNano()); ok {
				known = append(known, i)
			}
		}
		return known
	}
	for _, c := range []struct {
		name string
		w    window
		want string
	}{
		{"keys", window{time.Hour, 3, 1 << 20}, "[5 6 7]"},
		{"bytes", window{time.Hour, 100, 200}, "[5 6 7]"},
		{"age", window{3 * time.Second, 100, 1 << 20}, "[5 6 7]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			r.window = c.w
			r.must(mountOp("/b", "box"))
			for i := range 8 {
				r.clock = r.clock.Add(time.Second)
				if out := r.do(keyed(r.event(write("/b/x", "1")), fmt.Sprint("k", i))); out.Err != nil || out.Replayed {
					t.Fatal(out)
				}
			}
			if got := fmt.Sprint(answers(r, 0, 8)); got != c.want {
				t.Errorf("known %s, want %s", got, c.want)
			}
			rows := 0
			for range r.store.View().Scan(sysKey(rowAnswer), nil) {
				rows++
			}
			f := r.newFold()
			if s := f.span(); int(s.count) != rows || rows != 3 {
				t.Errorf("%d rows, counted %d", rows, s.count)
			}
			// A key that has gone is free again, with any request.
			again := keyed(r.event(write("/b/x", "1")), "k0")
			again.Sum[5] = 1
			if out := r.do(again); out.Err != nil || out.Replayed {
				t.Error(out)
			}
		})
	}
}

// A key that has run out is free, also while its answer is still there.
func TestExpiredKeyIsFree(t *testing.T) {
	r := newRig(t, nil)
	r.window = window{time.Second, 100, 1 << 20}
	r.must(mountOp("/b", "box"))
	for i := range 5 {
		if out := r.do(keyed(r.event(write("/b/x", "1")), "same")); out.Err != nil || out.Replayed {
			t.Fatal(i, out)
		}
		r.clock = r.clock.Add(time.Second)
	}
	f := r.newFold()
	if s := f.span(); s.count != 1 || s.next != 5 {
		t.Errorf("%+v", s)
	}
}

// What a remembered answer refers to stays until the answer is forgotten.
func TestAnswersHoldChunks(t *testing.T) {
	r := newRig(t, nil)
	r.window = window{time.Hour, 1, 1 << 20}
	r.must(mountOp("/b", "box"))
	r.must(write("/b/take", "", chunk(9)))
	out := r.do(keyed(r.event(vfs.Op{Verb: vfs.Consume, Path: "/b/take"}), "k"))
	if len(out.Results[0].Refs) != 1 {
		t.Fatal(out)
	}
	hash := chunk(9).Hash
	count := func() uint64 {
		n, _, _ := chunkRow(r.store.View(), sysKey(rowChunk, hash[:]...))
		return n
	}
	if count() != 1 {
		t.Errorf("count %d while the answer is kept", count())
	}
	r.do(keyed(r.event(write("/b/x", "1")), "k2"))
	if count() != 0 || !r.Counted(chunk(9).Hash) {
		t.Errorf("count %d after it was forgotten", count())
	}
}
