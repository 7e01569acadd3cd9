package raftlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/volume"
)

// onVolume opens a store on a disk of its own, watched as a node does.
func onVolume(t *testing.T, kind, dir string) (*Watched, *volume.Volume) {
	t.Helper()
	v, err := volume.Open(volume.Options{Dir: dir, Ballast: -1})
	check(t, err)
	var s Store
	if kind == "bolt" {
		s, err = OpenBolt(filepath.Join(dir, "raft"))
	} else {
		s, err = OpenPebble(filepath.Join(dir, "raft"), v.FS(vfs.Default))
	}
	check(t, err)
	return Watch(s, WatchOptions{MaxCacheBytes: 1 << 10, Retry: v.Retry, NoSpace: volume.NoSpace, Starving: v.Starving,
		OnFault: func(err error) { t.Errorf("a fault: %v", err) }}), v
}

// TestNoSpaceIsNoFault fills the disk under a log to the last block, again and
// again: appends are turned down, what was acknowledged stays, and appends go
// on when there is space, also after the log was opened afresh.
func TestNoSpaceIsNoFault(t *testing.T) {
	for _, kind := range []string{"bolt", "pebble"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			disk := harness.NewDisk(t, 64)
			s, v := onVolume(t, kind, disk.Dir())
			m := model{logs: map[uint64][]byte{}, stable: map[string]uint64{}}
			refused := 0
			for round := range 4 {
				for range 30 {
					check(t, appendRandom(s, &m))
				}
				disk.Fill()
				for tries := 0; ; tries++ {
					before := m.clone()
					err := appendRandom(s, &m)
					if err == nil && tries < 200 {
						continue // into blocks that the log has already
					}
					if !errors.Is(err, ErrNoSpace) && !errors.Is(err, ErrLeft) {
						t.Fatalf("round %d: append %d without space: %v", round, tries, err)
					}
					m = before
					if refused++; refused%3 == 0 {
						break
					}
				}
				if d := m.diff(s); d != "" && kind == "bolt" {
					t.Fatalf("round %d: without space: %s", round, d)
				}
				disk.Free()
				check(t, appendRandom(s, &m)) // takes the place of what was left
				if d := m.diff(s); d != "" {
					t.Fatalf("round %d: with space again: %s", round, d)
				}
				if round%2 == 1 {
					check(t, s.Close())
					s, v = onVolume(t, kind, disk.Dir())
					if d := m.diff(s); d != "" {
						t.Fatalf("round %d: opened afresh: %s", round, d)
					}
				}
			}
			v.Close()
			check(t, s.Close())
			t.Logf("%d appends found no space, %d entries", refused, m.last)
		})
	}
}

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
	if !harness.Poll(10*time.Second, func() bool { last, err := s.Store.LastIndex(); return err == nil && last == 6 }) {
		t.Fatal("the append never ends")
	}
	other := entry(4, "another")
	check(t, w.StoreLog(other))
	if last, err := w.LastIndex(); err != nil || last != 4 {
		t.Fatalf("log ends at %d, %v", last, err)
	}
	same(t, w, other)
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
