package raftlog

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// DefaultDeadline is how long a write may take.
const DefaultDeadline = 10 * time.Second

// WatchOptions are the settings of Watch; the zero value is ready to use.
type WatchOptions struct {
	// Deadline bounds every write, a deletion six times that; 0 for
	// [DefaultDeadline].
	Deadline time.Duration
	// OnFault hears of the first fault, once, from the goroutine that met it:
	// the node must leave. It may be nil.
	OnFault func(error)
	// MaxCacheBytes bounds the memory of recent entries; 0 keeps none.
	MaxCacheBytes int64
	// Observe hears of every successful append.
	Observe func(Appended)

	// Retry is asked with the error of a write: true if it found no space and
	// may be tried again now. NoSpace reports whether an error says so.
	// Starving reports whether writes on the disk wait for space. nil, all
	// three: want of space is a fault as any other.
	Retry    func(error) bool
	NoSpace  func(error) bool
	Starving func() bool
	// Begin hears of every call to the store that may take long; what it
	// returns is called when it ends. It may be nil.
	Begin func(what, name string) (end func())

	// Applied returns the last entry that is part of the durable state when
	// raft deletes entries; with it the log never has a gap. nil: deletions go
	// as raft asks.
	Applied func() uint64
	// Base returns that entry with its term: GetLog answers for it when the log
	// has it no more, which raft asks for to compare terms. nil: it does not.
	Base func() (index, term uint64)
	// Hold returns the last entry that the head of the log may be cut behind;
	// nil: no limit.
	Hold func() uint64
}

// Appended is one append that is durable.
type Appended struct {
	Last    uint64 // index of the last entry
	Entries int
	Bytes   int // of data
	Took    time.Duration
}

// Watched is a Store that is not trusted.
type Watched struct {
	s       Store
	o       WatchOptions
	fault   atomic.Pointer[error]
	writing chan struct{} // holds a token for each write under way
	cache   cache
	sizes   sizes
	left    atomic.Pointer[write]    // a write that was given up, and goes on
	dirty   atomic.Bool              // what was given up may be in the store
	cut     atomic.Bool              // the tail was deleted and nothing was appended since
	forget  atomic.Pointer[raft.Log] // see Forget
	parking atomic.Bool              // see Park

	installing atomic.Bool   // see Installing
	release    chan struct{} // closed by Release
	free       sync.Once
}

// deleteDeadlines is how many deadlines a deletion, which may be long, gets.
const deleteDeadlines = 6

// maxWrites is how many writes may be under way at once; raft makes two.
const maxWrites = 16

// Watch returns s with a checksum around every entry, a deadline for every
// write and a memory of recent entries. The checksum travels in the store as a
// prefix of the entry's Extensions, so only entries written through Watch can
// be read through it. The first fault, a failed or late write or a damaged
// entry, is final: all later writes fail with it. A write that is late is left
// to end alone; whether it succeeds then no longer counts.
//
// If the options say how to wait for space, want of it is no fault: an append
// waits a second and is then [ErrNoSpace] or [ErrLeft], all else waits as long
// as it takes. An append for which half of the deadline is over is [ErrLeft],
// too: raft steps down, and goes on if the append ends before the deadline.
func Watch(s Store, o WatchOptions) *Watched {
	if o.Deadline <= 0 {
		o.Deadline = DefaultDeadline
	}
	w := &Watched{s: s, o: o, writing: make(chan struct{}, maxWrites), cache: cache{max: o.MaxCacheBytes},
		release: make(chan struct{})}
	first, err := s.FirstIndex()
	last, err2 := s.LastIndex()
	if d, ok := s.(onDisk); ok && err == nil && err2 == nil {
		w.sizes.begin(first, last, d.Size())
	}
	return w
}

// onDisk is a store that tells what it takes: its entries, about, and all of
// its files.
type onDisk interface {
	Size() int64
	Disk() int64
}

// Disk returns the bytes of the store's files.
func (w *Watched) Disk() int64 {
	if d, ok := w.s.(onDisk); ok {
		return d.Disk()
	}
	return 0
}

// IsMonotonic tells raft what the store is: with Applied, the log has no gaps,
// and raft is to delete what a snapshot replaces, as far as DeleteRange goes.
func (w *Watched) IsMonotonic() bool {
	m, ok := w.s.(raft.MonotonicLogStore)
	return w.o.Applied != nil || ok && m.IsMonotonic()
}

func (w *Watched) failed() error {
	if p := w.fault.Load(); p != nil {
		return *p
	}
	return nil
}

func (w *Watched) fail(err error) error {
	if w.fault.CompareAndSwap(nil, &err) && w.o.OnFault != nil {
		w.o.OnFault(err)
	}
	return err
}

// read passes on the error of a read; other than absence it is a fault.
func (w *Watched) read(err error) error {
	if err == nil || errors.Is(err, raft.ErrLogNotFound) || errors.Is(err, ErrClosed) ||
		err.Error() == errKeyNotFound.Error() {
		return err
	}
	err = w.fail(err)
	w.park()
	return err
}

// Park has raft meet no error that it would panic over: from now on a failed
// GetLog does not return before Release, and then ends its goroutine. So what
// OnFault has to say is heard, and not raft's panic.
func (w *Watched) Park() { w.parking.Store(true) }

// Release ends the goroutines that were parked; the log is about to be closed.
func (w *Watched) Release() { w.free.Do(func() { close(w.release) }) }

func (w *Watched) park() {
	if w.parking.Load() {
		<-w.release
		runtime.Goexit()
	}
}

// FirstIndex returns the index of the oldest entry, 0 if there is none.
func (w *Watched) FirstIndex() (uint64, error) {
	n, err := w.s.FirstIndex()
	return n, w.read(err)
}

// LastIndex returns the index of the newest entry, 0 if there is none.
func (w *Watched) LastIndex() (uint64, error) {
	n, err := w.s.LastIndex()
	return n, w.read(err)
}

// GetLog reads one entry and verifies it. Its bytes must not be changed.
func (w *Watched) GetLog(index uint64, log *raft.Log) error {
	if w.pretend(index, log) || w.cache.get(index, log) {
		return nil
	}
	if err := w.s.GetLog(index, log); err != nil {
		if errors.Is(err, raft.ErrLogNotFound) && w.stands(index, log) {
			return nil
		}
		return w.read(err)
	}
	err := unseal(index, log)
	if err == nil && (log.Type > raft.LogConfiguration || log.Type == raft.LogAddPeerDeprecated || log.Type == raft.LogRemovePeerDeprecated) {
		err = fmt.Errorf("%w: index %d has the unknown type %d", ErrCorrupt, index, log.Type) // raft would panic
	}
	return w.read(err)
}

// stands makes log a stand-in for the last entry of the state.
func (w *Watched) stands(index uint64, log *raft.Log) bool {
	if w.o.Base == nil || index == 0 {
		return false
	}
	at, term := w.o.Base()
	if at == index {
		*log = raft.Log{Index: index, Term: term, Type: standIn}
	}
	return at == index
}

// standIn is a type that no node takes as an entry: only the term counts.
const standIn = raft.LogType(0xff)

// Term returns the term of an entry, which it verifies.
func (w *Watched) Term(index uint64) (uint64, error) {
	var l raft.Log
	err := w.GetLog(index, &l)
	return l.Term, err
}

// StoreLog appends one entry.
func (w *Watched) StoreLog(log *raft.Log) error { return w.StoreLogs([]*raft.Log{log}) }

// StoreLogs appends entries. They are kept in memory, so their bytes must not
// change any more.
func (w *Watched) StoreLogs(logs []*raft.Log) error {
	if w.swallow(logs) || len(logs) == 0 {
		return w.failed()
	}
	start := time.Now()
	out, bytes := sealAll(logs)
	// Raft does not notice that an append failed after it cut off the tail.
	err := w.guard("append", w.o.Deadline, w.cut.Load(), func() error {
		if err := w.tidy(logs[0].Index); err != nil {
			return err
		}
		return w.s.StoreLogs(out)
	})
	if err != nil {
		return err
	}
	w.cut.Store(false)
	w.cache.add(logs)
	w.sizes.add(logs)
	if w.o.Observe != nil {
		w.o.Observe(Appended{logs[len(logs)-1].Index, len(logs), bytes, time.Since(start)})
	}
	return nil
}

// Set keeps a value under a key.
func (w *Watched) Set(key, val []byte) error {
	return w.guard("set", w.o.Deadline, true, func() error { return w.s.Set(key, val) })
}

// SetUint64 is Set of a number.
func (w *Watched) SetUint64(key []byte, val uint64) error {
	return w.guard("set", w.o.Deadline, true, func() error { return w.s.SetUint64(key, val) })
}

// Get returns the value of key.
func (w *Watched) Get(key []byte) ([]byte, error) {
	b, err := w.s.Get(key)
	return b, w.read(err)
}

// GetUint64 is Get of a number.
func (w *Watched) GetUint64(key []byte) (uint64, error) {
	n, err := w.s.GetUint64(key)
	return n, w.read(err)
}

// Close waits for writes under way and closes the store. Should they not end
// within the deadline the store is left open, and the error says so.
func (w *Watched) Close() error {
	w.fault.CompareAndSwap(nil, new(ErrClosed))
	timer := time.NewTimer(w.o.Deadline)
	defer timer.Stop()
	for range maxWrites {
		select {
		case w.writing <- struct{}{}:
		case <-timer.C:
			return errors.New("raft log: a write hangs, the store stays open")
		}
	}
	return w.s.Close()
}
