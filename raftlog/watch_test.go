package raftlog

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// stub is a Store whose writes do what the test says and whose reads count.
type stub struct {
	Store
	write func() error
	reads atomic.Int64
}

func (s *stub) StoreLogs(logs []*raft.Log) error {
	if s.write != nil {
		if err := s.write(); err != nil {
			return err
		}
	}
	return s.Store.StoreLogs(logs)
}

func (s *stub) GetLog(i uint64, l *raft.Log) error {
	s.reads.Add(1)
	return s.Store.GetLog(i, l)
}

// faults collects what OnFault hears.
type faults struct {
	mu   sync.Mutex
	errs []error
}

func (f *faults) hear(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

func (f *faults) want(t *testing.T, n int, text string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) != n || n > 0 && !strings.Contains(f.errs[0].Error(), text) {
		t.Fatalf("faults heard: %v, want %d with %q", f.errs, n, text)
	}
}

func watchStub(t *testing.T, o WatchOptions) (*Watched, *stub, *faults) {
	t.Helper()
	f := &faults{}
	o.OnFault = f.hear
	s := &stub{Store: openMem(t, vfs.NewMem())}
	return Watch(s, o), s, f
}

func allWritesFail(t *testing.T, s Store, next uint64) {
	t.Helper()
	for i, err := range []error{
		s.StoreLog(entry(next, "")), s.StoreLogs(entries(next, next+1)), s.DeleteRange(1, 1),
		s.Set([]byte("k"), nil), s.SetUint64([]byte("k"), 1),
	} {
		if err == nil {
			t.Fatalf("write %d was said yes to after a fault", i)
		}
	}
}

func TestWatchLateWrite(t *testing.T) {
	t.Parallel() // the deadline leaves the write before the one that hangs time on a busy machine
	w, s, f := watchStub(t, WatchOptions{Deadline: 6 * time.Second, MaxCacheBytes: 1 << 20})
	check(t, w.StoreLogs(entries(1, 3)))
	hang, ended := make(chan struct{}), make(chan struct{})
	s.write = func() error {
		defer close(ended)
		<-hang
		return nil
	}
	if err := w.StoreLogs(entries(4, 5)); err == nil || !strings.Contains(err.Error(), "longer than 6s") {
		t.Fatalf("hanging write: %v", err)
	}
	f.want(t, 1, "append took longer")
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "hangs") {
		t.Fatalf("close beside a hanging write: %v", err)
	}
	close(hang)
	<-ended
	allWritesFail(t, w, 6)
	f.want(t, 1, "append took longer")
	if w.cache.get(4, new(raft.Log)) {
		t.Fatal("a late entry is in memory")
	}
}

func TestWatchFirstErrorIsFinal(t *testing.T) {
	w, s, f := watchStub(t, WatchOptions{MaxCacheBytes: 1 << 20})
	check(t, w.StoreLogs(entries(1, 3)))
	s.write = func() error { return errDisk }
	if err := w.StoreLogs(entries(4, 4)); !errors.Is(err, errDisk) {
		t.Fatalf("failed write: %v", err)
	}
	s.write = nil
	allWritesFail(t, w, 4)
	f.want(t, 1, "input/output error")
	if err := w.GetLog(4, new(raft.Log)); !errors.Is(err, raft.ErrLogNotFound) {
		t.Fatalf("entry that was not stored: %v", err)
	}
	same(t, w, entry(3, "data of an entry"))
}

func TestWatchPanicIsAFault(t *testing.T) {
	w, s, f := watchStub(t, WatchOptions{})
	s.write = func() error { panic("page is already free") }
	if err := w.StoreLog(entry(1, "")); err == nil {
		t.Fatal("a panic is a success")
	}
	f.want(t, 1, "page is already free")
}

// TestWatchDamage changes every byte of a stored entry in turn.
func TestWatchDamage(t *testing.T) {
	mem := openMem(t, vfs.NewMem())
	check(t, Watch(mem, WatchOptions{}).StoreLogs([]*raft.Log{
		entry(1, "one"), {Index: 2, Term: 3, Data: []byte("data"), Extensions: []byte("ext")}, entry(3, "x"),
	}))
	good, _, err := mem.db.Get(logKey(2))
	check(t, err)
	good = append([]byte(nil), good...)
	for i := range good {
		if i >= 10 && i < 18 {
			continue // the time of append tells operators something and raft nothing
		}
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x10
		check(t, mem.db.Set(logKey(2), bad, pebble.Sync))
		f := &faults{}
		w := Watch(mem, WatchOptions{OnFault: f.hear})
		if err := w.GetLog(2, new(raft.Log)); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		f.want(t, 1, "damaged")
		allWritesFail(t, w, 4)
	}
	for _, other := range []uint64{1, 3} { // an entry in another's place
		b, _, err := mem.db.Get(logKey(other))
		check(t, err)
		check(t, mem.db.Set(logKey(2), append([]byte(nil), b...), pebble.Sync))
		if err := Watch(mem, WatchOptions{}).GetLog(2, new(raft.Log)); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("entry %d in place of 2: %v", other, err)
		}
	}
	check(t, mem.StoreLog(entry(4, "")))
	if err := Watch(mem, WatchOptions{}).GetLog(4, new(raft.Log)); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("entry without a seal: %v", err)
	}
}

func TestWatchCache(t *testing.T) {
	const room = 10 * (logOverhead + 100)
	w, s, f := watchStub(t, WatchOptions{MaxCacheBytes: room})
	c := &w.cache
	data := strings.Repeat("x", 100)
	for i := uint64(1); i <= 50; i++ {
		check(t, w.StoreLog(entry(i, data)))
		if c.bytes > room || int64(len(c.logs))*(logOverhead+100) != c.bytes {
			t.Fatalf("%d entries of %d bytes in room for %d", len(c.logs), c.bytes, room)
		}
	}
	for i := uint64(1); i <= 50; i++ {
		same(t, w, entry(i, data))
	}
	if n := s.reads.Load(); n != 40 {
		t.Fatalf("%d reads went to the store, want 40", n)
	}
	check(t, w.DeleteRange(1, 20)) // none of them in memory
	if len(c.logs) != 10 {
		t.Fatal("a deletion of others emptied the memory")
	}
	check(t, w.DeleteRange(45, 50))
	check(t, w.StoreLog(entry(45, "new")))
	same(t, w, entry(45, "new"))
	if err := w.GetLog(46, new(raft.Log)); !errors.Is(err, raft.ErrLogNotFound) {
		t.Fatalf("deleted entry: %v", err)
	}
	check(t, w.StoreLog(entry(46, strings.Repeat("y", room)))) // never fits
	if c.bytes != 0 || len(c.logs) != 0 {
		t.Fatalf("%d bytes in memory", c.bytes)
	}
	same(t, w, entry(46, strings.Repeat("y", room)))
	f.want(t, 0, "")
}

func TestWatchObservesAndForwards(t *testing.T) {
	var entriesSeen, bytesSeen int
	var last uint64
	w, _, f := watchStub(t, WatchOptions{Observe: func(a Appended) {
		entriesSeen += a.Entries
		bytesSeen += a.Bytes
		last = a.Last
		if a.Took <= 0 {
			t.Errorf("took %v", a.Took)
		}
	}})
	check(t, w.StoreLogs([]*raft.Log{entry(1, "four"), {Index: 2, Data: []byte("123"), Extensions: []byte("12")}}))
	if entriesSeen != 2 || bytesSeen != 9 || last != 2 {
		t.Fatalf("observed %d entries to %d, %d bytes", entriesSeen, last, bytesSeen)
	}
	if !Watch(openMem(t, vfs.NewMem()), WatchOptions{}).IsMonotonic() {
		t.Fatal("pebble is monotonic")
	}
	bolt, err := OpenBolt(t.TempDir())
	check(t, err)
	wb := Watch(bolt, WatchOptions{})
	if wb.IsMonotonic() {
		t.Fatal("bolt is not monotonic")
	}
	check(t, wb.Close())
	check(t, w.Close())
	if err := w.StoreLog(entry(3, "")); !errors.Is(err, ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
	f.want(t, 0, "")
}

// TestHammer reads beside a writer; run it under -race.
func TestHammer(t *testing.T) {
	for name := range stores(t) {
		t.Run(name, func(t *testing.T) {
			s := stores(t)[name]()
			var stop atomic.Bool
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					for !stop.Load() {
						last, err := s.LastIndex()
						if err != nil {
							t.Error(err)
						}
						var log raft.Log
						err = s.GetLog(last, &log)
						if err == nil && (log.Index != last || string(log.Data) != "data of an entry") {
							t.Errorf("entry %d is %+v", last, log)
						}
						if err != nil && !errors.Is(err, raft.ErrLogNotFound) {
							t.Error(err)
						}
					}
				})
			}
			for i := uint64(1); i < 200; i += 4 {
				check(t, s.StoreLogs(entries(i, i+3)))
				if i%20 == 1 {
					check(t, s.DeleteRange(i+2, i+3))
					check(t, s.StoreLogs(entries(i+2, i+3)))
					check(t, s.DeleteRange(1, i/2))
				}
			}
			stop.Store(true)
			wg.Wait()
			check(t, s.Close())
		})
	}
}
