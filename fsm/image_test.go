package fsm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pfs-project/pfs/test/memdisk"
	"github.com/pfs-project/pfs/vfs"
)

func TestImageStaysAsItWas(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/b", "box"))
	out := r.must(write("/b/x", "one"))
	old := r.Image()
	if again := r.Image(); again != old || old.Index != out.Index || old.Seq != out.Seq {
		t.Errorf("index %d, seq %d, shared %v", old.Index, old.Seq, again == old)
	} else {
		again.Release()
	}
	r.must(write("/b/x", "two"))
	r.must(unmountOp("/b"))
	b := make([]byte, 9)
	if n, err := old.Table.ReadAt(t.Context(), old.View, "/b/x", b, 0); string(b[:n]) != "one" {
		t.Errorf("%q %v", b[:n], err)
	}
	old.Retain().Release()
	old.Release()
	if n := r.Store().Metrics().Snapshots; n != 0 {
		t.Errorf("%d snapshots left", n)
	}
}

// Writes alone make no snapshots: an Image is made for a reader.
func TestImagesAreMadeWhenAskedFor(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/b", "box"))
	r.Image().Release()
	for range 10 {
		r.must(write("/b/x", "1"))
		if n := r.Store().Metrics().Snapshots; n != 0 {
			t.Fatalf("%d snapshots", n)
		}
	}
}

// Readers beside the writer see the table and the state of one index: the
// file of a mount is there exactly when the mount is.
func TestImageHammer(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/pipe", "slow"))
	pipeAt, _ := r.mountAt("/pipe")
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for n := range 6 {
		wg.Go(func() {
			var last uint64
			for ctx.Err() == nil {
				img := r.Image()
				if img.Index < last {
					t.Errorf("index %d after %d", img.Index, last)
				}
				last = img.Index
				if err := coherent(img); err != nil {
					t.Error(err)
				}
				img.Release()
				switch n {
				case 0:
					r.SetFS(pipeAt, pipe{}, nil)
				case 1:
					_, _ = r.Sums(ctx)
				case 2:
					_ = r.Counted(chunk(1).Hash)
				case 3:
					short, cancel := context.WithTimeout(ctx, time.Millisecond)
					_ = r.Wait(short, img.Index+2)
					cancel()
				}
			}
		})
	}
	for i := range 150 {
		r.must(mountOp("/b", "box"), write("/b/x", fmt.Sprint(i)))
		r.must(write("/b/y", fmt.Sprint(i)))
		r.must(vfs.Op{Verb: vfs.Remove, Path: "/b/x"}, unmountOp("/b"))
	}
	stop()
	wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiters) != 0 {
		t.Errorf("%d waiters left", len(r.waiters))
	}
}

// coherent reports whether an Image's parts belong together.
func coherent(img *Image) error {
	_, _, mounted := img.Table.Route("/b")
	_, recorded := img.View.Get(textKey(rowMount, "/b"))
	if mounted != recorded {
		return fmt.Errorf("index %d: in the table %v, in the state %v", img.Index, mounted, recorded)
	}
	if n, _ := getNums(img.View, []byte(metaApplied), 2); n[0] != img.Index || getNum(img.View, rowSeq) != img.Seq {
		return fmt.Errorf("index %d, in the state %d", img.Index, n[0])
	}
	return nil
}

func TestWait(t *testing.T) {
	r := newRig(t, nil)
	if err := r.Wait(t.Context(), 0); err != nil {
		t.Error(err)
	}
	done := make(chan uint64, 3)
	var wg sync.WaitGroup
	for _, index := range []uint64{3, 1, 2} {
		wg.Go(func() {
			if err := r.Wait(t.Context(), index); err != nil {
				t.Error(err)
			}
			done <- index
		})
	}
	waiting(t, r, 3)
	for want := uint64(1); want <= 3; want++ {
		r.must(vfs.Op{Verb: vfs.Begin, Data: EncodeBegin(BeginSpec{Cluster: "c"})})
		if got := <-done; got != want {
			t.Errorf("woke %d at %d", got, want)
		}
	}
	wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		if err := r.Wait(ctx, 99); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	waiting(t, r, 1)
	cancel()
	wg.Wait()
	waiting(t, r, 0)
	wg.Go(func() {
		if err := r.Wait(t.Context(), 99); vfs.KindOf(err) != vfs.Unavailable {
			t.Error(err)
		}
	})
	waiting(t, r, 1)
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := r.Wait(t.Context(), 99); vfs.KindOf(err) != vfs.Unavailable {
		t.Error(err)
	}
}

// waiting polls until n wait.
func waiting(t *testing.T, r *rig, n int) {
	t.Helper()
	eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.waiters) == n
	})
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}

// After Close an Image is one whose reads end in a fault, not in absence.
func TestImageAfterClose(t *testing.T) {
	fs := pebblevfs.NewMem()
	r := newRig(t, func(o *Options) { o.Store = memoryStore(t, fs) })
	r.must(mountOp("/b", "box"))
	_ = r.Close()
	img := r.Image()
	defer img.Release()
	if _, err := r.Sums(t.Context()); err == nil {
		t.Error("a digest of nothing")
	}
	defer func() {
		if _, ok := recover().(vfs.StoreFault); !ok {
			t.Error("no fault")
		}
	}()
	img.Members()
}

// An Image that is asked for while Close syncs is released by who asked, so that the
// store can be closed.
func TestImageWhileClosing(t *testing.T) {
	d := memdisk.New()
	var closing atomic.Bool
	reached, ask := make(chan struct{}), make(chan struct{})
	d.Fault = func(k memdisk.Kind, _ string) error {
		if k == memdisk.Sync && closing.CompareAndSwap(true, false) {
			close(reached)
			<-ask
		}
		return nil
	}
	r := newRig(t, func(o *Options) { o.Store = memoryStore(t, d) })
	r.must(mountOp("/b", "box"))
	closing.Store(true)
	done := make(chan error, 1)
	go func() { done <- r.Close() }()
	<-reached
	for range 2 {
		img := r.Image()
		if !img.Stopped {
			t.Error("it is not said to be stopped")
		}
		img.Release()
	}
	close(ask)
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the store waits for an image that nobody has")
	}
}

// What was written and whose state it is have a hash each.
func TestSums(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/b", "box"))
	sums := func() Sums {
		t.Helper()
		s, err := r.Sums(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	was := sums()
	for _, op := range []vfs.Op{
		{Verb: vfs.Begin, Data: EncodeBegin(BeginSpec{Cluster: "c", Node: "n"})},
		{Verb: vfs.Member, Data: EncodeMember(Member{ID: "n", HTTP: "h"})},
	} {
		r.must(op)
		now := sums()
		if now.State != was.State || now.Own == was.Own || now.Index == was.Index {
			t.Errorf("%v: %x to %x", op.Verb, was, now)
		}
		was = now
	}
	r.must(write("/b/x", "1"))
	if now := sums(); now.State == was.State || now.Own == was.Own { // its number is one more
		t.Errorf("a write: %x to %x", was, now)
	}
}
