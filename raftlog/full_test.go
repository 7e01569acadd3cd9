package raftlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// appendRandom appends one entry of about 100 KiB.
func appendRandom(s Store, m *model) error {
	data := make([]byte, 50<<10+rand.IntN(100<<10))
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	m.last++
	m.first = max(m.first, 1)
	m.logs[m.last] = data
	return s.StoreLog(&raft.Log{Index: m.last, Term: 1, Data: data})
}

// needy is a Watched whose store finds no space while no is set; hang makes it
// wait in there instead of saying so.
func needy(t *testing.T) (w *Watched, s *stub, no, hang *atomic.Bool) {
	no, hang = &atomic.Bool{}, &atomic.Bool{}
	w, s, _ = watchStub(t, WatchOptions{
		Deadline: 20 * time.Second,
		Retry: func(err error) bool {
			<-time.After(time.Millisecond)
			return errors.Is(err, syscall.ENOSPC)
		},
		NoSpace:  func(err error) bool { return errors.Is(err, syscall.ENOSPC) },
		Starving: func() bool { return no.Load() },
		Applied:  func() uint64 { return 0 },
	})
	s.write = func() error {
		for hang.Load() && no.Load() {
			time.Sleep(time.Millisecond)
		}
		if no.Load() {
			return syscall.ENOSPC
		}
		return nil
	}
	return w, s, no, hang
}

// TestLeftAppend has an append wait in the store after raft was told that it
// did not get there: what comes next takes its place.
func TestLeftAppend(t *testing.T) {
	w, s, no, hang := needy(t)
	check(t, w.StoreLogs(entries(1, 3)))
	no.Store(true)
	hang.Store(true)
	if err := w.StoreLogs(entries(4, 6)); !errors.Is(err, ErrLeft) {
		t.Fatalf("an append that waits: %v", err)
	}
	if err := w.StoreLogs(entries(4, 4)); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("an append behind it: %v", err)
	}
	no.Store(false)
	for last := uint64(0); last != 6; { // the append ends, or the test does not
		var err error
		last, err = s.Store.LastIndex()
		check(t, err)
		time.Sleep(time.Millisecond)
	}
	other := entry(4, "another")
	check(t, w.StoreLog(other))
	if last, err := w.LastIndex(); err != nil || last != 4 {
		t.Fatalf("log ends at %d, %v", last, err)
	}
	same(t, w, other)
}

// TestStalledAppend has an append take long, but not too long: raft hears of it
// when half of the deadline is over, and the log goes on.
func TestStalledAppend(t *testing.T) {
	t.Parallel() // the deadline leaves this test time to stand still itself
	w, s, f := watchStub(t, WatchOptions{Deadline: 12 * time.Second,
		Retry: func(error) bool { return false }, NoSpace: func(error) bool { return false }})
	check(t, w.StoreLogs(entries(1, 3)))
	hang := make(chan struct{})
	s.write = func() error { <-hang; return nil }
	if err := w.StoreLogs(entries(4, 5)); !errors.Is(err, ErrLeft) {
		t.Fatalf("an append that takes long: %v", err)
	}
	close(hang)
	check(t, w.StoreLogs(entries(4, 6)))
	span(t, w, 1, 6)
	f.want(t, 0, "")

	hang = make(chan struct{})
	s.write = func() error { <-hang; return nil }
	if err := w.StoreLogs(entries(7, 8)); !errors.Is(err, ErrLeft) {
		t.Fatalf("an append that hangs: %v", err)
	}
	if err := w.SetUint64([]byte("k"), 1); err == nil { // waits for it
		t.Fatal("a write was said yes to behind one that hangs")
	}
	f.want(t, 1, "append took longer")
	close(hang)
	allWritesFail(t, w, 9)
}

// TestPark has raft meet no error that it would panic over.
func TestPark(t *testing.T) {
	w, s, f := watchStub(t, WatchOptions{})
	check(t, w.StoreLogs(entries(1, 3)))
	w.Park()
	check(t, s.Store.StoreLog(entry(4, "without a checksum")))
	var back atomic.Int32
	var gone sync.WaitGroup
	gone.Add(1)
	go func() {
		defer gone.Done()
		_ = w.GetLog(4, new(raft.Log))
		back.Add(1)
	}()
	w.Release()
	gone.Wait()
	if back.Load() != 0 {
		t.Error("a parked call returned")
	}
	f.want(t, 1, "damaged")
}

// TestAppendAfterCutWaits has an append find no space after the tail was cut
// off: raft would not notice, so it waits.
func TestAppendAfterCutWaits(t *testing.T) {
	w, _, no, _ := needy(t)
	check(t, w.StoreLogs(entries(1, 9)))
	check(t, w.DeleteRange(5, 9))
	no.Store(true)
	done := make(chan error)
	go func() { done <- w.StoreLogs(entries(5, 6)) }()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(2 * spaceTime):
	}
	no.Store(false)
	check(t, <-done)
	span(t, w, 1, 6)
}

// TestCutKeepsTail has raft delete all, as after it installed a snapshot.
func TestCutKeepsTail(t *testing.T) {
	for name, c := range map[string]struct{ applied, hold, min, max, first, last uint64 }{
		"all of the state":         {9, 99, 1, 9, 0, 0},
		"the tail stays":           {6, 99, 1, 9, 7, 9},
		"held":                     {6, 3, 1, 6, 4, 9},
		"held behind the log":      {6, 0, 1, 6, 1, 9},
		"the tail goes":            {3, 2, 5, 9, 1, 4},
		"the tail with leftovers":  {3, 99, 5, 7, 1, 4},
		"all of it, not the state": {0, 99, 1, 9, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := Watch(openMem(t, vfs.NewMem()), WatchOptions{
				Applied: func() uint64 { return c.applied }, Hold: func() uint64 { return c.hold }})
			check(t, w.StoreLogs(entries(1, 9)))
			check(t, w.DeleteRange(c.min, c.max))
			span(t, w, c.first, c.last)
		})
	}
}

// TestSizes compares what the log is thought to take with what it takes.
func TestSizes(t *testing.T) {
	w := Watch(openMem(t, vfs.NewMem()), WatchOptions{})
	bytes := map[uint64]int64{}
	first, last := uint64(1), uint64(0)
	for step := range 300 {
		switch r := rand.IntN(20); {
		case r == 0 && last > first+10:
			to := first + rand.Uint64N(last-first)
			check(t, w.DeleteRange(first, to))
			first = to + 1
		case r == 1 && last > first+10:
			from := last - rand.Uint64N(last-first)
			check(t, w.DeleteRange(from, last))
			last = from - 1
		default:
			for range rand.IntN(10) {
				last++
				l := &raft.Log{Index: last, Data: make([]byte, rand.IntN(200<<10))}
				bytes[last] = cost(l)
				check(t, w.StoreLog(l))
			}
		}
		from := first + rand.Uint64N(last-first+2)
		want := int64(0)
		for i := from; i <= last; i++ {
			want += bytes[i]
		}
		const slack = 2 * (markEvery + 200<<10)
		if got := w.Bytes(from, last); got < want-slack || got > want+slack {
			t.Fatalf("step %d: entries %d to %d take %d, not %d", step, from, last, want, got)
		}
		n := w.Newest(want)
		if got := last + 1 - min(n, last); last > first && w.Bytes(got, last) > want {
			t.Fatalf("step %d: the newest %d take %d, not %d", step, n, w.Bytes(got, last), want)
		}
	}
	if fmt.Sprint(w.Bytes(1, 0)) != "0" {
		t.Error("nothing takes something")
	}
}
