package raftlog

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// still has a process stand still while it waits for a write, once for each time that
// it is sent.
type still chan time.Duration

// starving is where each look at a write asks for space.
func (s still) starving() bool {
	select {
	case d := <-s:
		time.Sleep(d)
	default:
	}
	return false
}

// TestStandstill has the process stand still for longer than the deadline while its
// disk takes long for an append: the disk is not blamed, and raft hears no sooner of it.
func TestStandstill(t *testing.T) {
	const long = time.Minute
	type bed struct {
		w     *Watched
		stand still
		hang  func(d time.Duration) // has the next append take so long
	}
	for name, c := range map[string]func(t *testing.T, b bed){
		"awaited": func(t *testing.T, b bed) {
			b.hang(long + 5*time.Second)
			b.stand <- long
			check(t, b.w.StoreLogs(entries(1, 3)))
		},
		"given up": func(t *testing.T, b bed) {
			b.hang(long + 8*time.Second)
			b.stand <- long
			if err := b.w.StoreLogs(entries(1, 3)); !errors.Is(err, ErrLeft) {
				t.Errorf("an append that takes long: %v", err)
			}
			check(t, b.w.SetUint64([]byte("k"), 1))
		},
		"given up before": func(t *testing.T, b bed) {
			b.hang(long + 6*time.Second)
			if err := b.w.StoreLogs(entries(1, 3)); !errors.Is(err, ErrLeft) {
				t.Errorf("an append that takes long: %v", err)
			}
			time.Sleep(long) // nobody looks
			check(t, b.w.SetUint64([]byte("k"), 1))
		},
		"behind another": func(t *testing.T, b bed) {
			b.hang(long + 6*time.Second)
			if err := b.w.StoreLogs(entries(1, 3)); !errors.Is(err, ErrLeft) {
				t.Errorf("an append that takes long: %v", err)
			}
			b.stand <- long
			b.hang(3 * time.Second)
			check(t, b.w.StoreLogs(entries(1, 3)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // pauses of the machine are none of its clock
				stand, hang := make(still, 1), atomic.Int64{}
				w, s, f := watchStub(t, WatchOptions{Starving: stand.starving,
					Retry: func(error) bool { return false }, NoSpace: func(error) bool { return false }})
				s.write = func() error { time.Sleep(time.Duration(hang.Swap(0))); return nil }
				defer func() {
					time.Sleep(2 * long) // until no append hangs
					check(t, w.Close())
				}()
				c(t, bed{w, stand, func(d time.Duration) { hang.Store(int64(d)) }})
				f.want(t, 0, "")
			})
		})
	}
}

// slowSet takes long to keep a number.
type slowSet struct{ Store }

func (s slowSet) SetUint64(key []byte, val uint64) error {
	time.Sleep(2 * spaceTime)
	return s.Store.SetUint64(key, val)
}

// TestLongWaitIsNotLate has a write wait for one before it, which waits for space, for
// longer than the deadline: that is no time of its own.
func TestLongWaitIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		w, s, f := watchStub(t, WatchOptions{Starving: full.Load,
			Retry: func(error) bool { return false }, NoSpace: func(error) bool { return false }})
		defer func() { check(t, w.Close()) }()
		s.Store = slowSet{s.Store}
		s.write = func() error {
			time.Sleep(time.Minute)
			full.Store(false)
			return nil
		}
		full.Store(true)
		if err := w.StoreLogs(entries(1, 3)); !errors.Is(err, ErrLeft) {
			t.Errorf("an append that waits for space: %v", err)
		}
		check(t, w.SetUint64([]byte("k"), 1))
		f.want(t, 0, "")
	})
}
