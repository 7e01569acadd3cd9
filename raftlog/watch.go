package raftlog

import (
	"errors"
	"fmt"
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
}

// Appended is one append that is durable.
type Appended struct {
	Last    uint64 // index of the last entry
	Entries int
	Bytes   int // of data
	Took    time.Duration
}

// watched is a Store that is not trusted.
type watched struct {
	s       Store
	o       WatchOptions
	fault   atomic.Pointer[error]
	writing chan struct{} // holds a token for each write under way
	cache   cache
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
func Watch(s Store, o WatchOptions) Store {
	if o.Deadline <= 0 {
		o.Deadline = DefaultDeadline
	}
	return &watched{s: s, o: o, writing: make(chan struct{}, maxWrites), cache: cache{max: o.MaxCacheBytes}}
}

// IsMonotonic tells raft what the store is.
func (w *watched) IsMonotonic() bool {
	m, ok := w.s.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

func (w *watched) failed() error {
	if p := w.fault.Load(); p != nil {
		return *p
	}
	return nil
}

func (w *watched) fail(err error) error {
	if w.fault.CompareAndSwap(nil, &err) && w.o.OnFault != nil {
		w.o.OnFault(err)
	}
	return err
}

// guard runs a write, at most until the deadline.
func (w *watched) guard(what string, deadline time.Duration, write func() error) error {
	if err := w.failed(); err != nil {
		return err
	}
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	done := make(chan error, 1)
	select {
	case w.writing <- struct{}{}:
	case <-timer.C:
		return w.late(what, deadline)
	}
	go func() {
		defer func() { <-w.writing }()
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("panic: %v", r)
			}
		}()
		done <- write()
	}()
	select {
	case err := <-done:
		if err != nil {
			return w.fail(fmt.Errorf("raft log: %s: %w", what, err))
		}
		return w.failed()
	case <-timer.C:
		return w.late(what, deadline)
	}
}

func (w *watched) late(what string, deadline time.Duration) error {
	return w.fail(fmt.Errorf("raft log: %s took longer than %v", what, deadline))
}

// read passes on the error of a read; other than absence it is a fault.
func (w *watched) read(err error) error {
	if err == nil || errors.Is(err, raft.ErrLogNotFound) || errors.Is(err, ErrClosed) ||
		err.Error() == errKeyNotFound.Error() {
		return err
	}
	return w.fail(err)
}

// FirstIndex returns the index of the oldest entry, 0 if there is none.
func (w *watched) FirstIndex() (uint64, error) {
	n, err := w.s.FirstIndex()
	return n, w.read(err)
}

// LastIndex returns the index of the newest entry, 0 if there is none.
func (w *watched) LastIndex() (uint64, error) {
	n, err := w.s.LastIndex()
	return n, w.read(err)
}

// GetLog reads one entry and verifies it. Its bytes must not be changed.
func (w *watched) GetLog(index uint64, log *raft.Log) error {
	if w.cache.get(index, log) {
		return nil
	}
	if err := w.s.GetLog(index, log); err != nil {
		return w.read(err)
	}
	return w.read(unseal(index, log))
}

// StoreLog appends one entry.
func (w *watched) StoreLog(log *raft.Log) error { return w.StoreLogs([]*raft.Log{log}) }

// StoreLogs appends entries. They are kept in memory, so their bytes must not
// change any more.
func (w *watched) StoreLogs(logs []*raft.Log) error {
	start := time.Now()
	out, bytes := sealAll(logs)
	if err := w.guard("append", w.o.Deadline, func() error { return w.s.StoreLogs(out) }); err != nil {
		return err
	}
	w.cache.add(logs)
	if w.o.Observe != nil && len(logs) > 0 {
		w.o.Observe(Appended{logs[len(logs)-1].Index, len(logs), bytes, time.Since(start)})
	}
	return nil
}

// DeleteRange deletes the entries from min to max, both included.
func (w *watched) DeleteRange(min, max uint64) error {
	w.cache.drop(min, max)
	return w.guard("delete", deleteDeadlines*w.o.Deadline, func() error { return w.s.DeleteRange(min, max) })
}

// Set keeps a value under a key.
func (w *watched) Set(key, val []byte) error {
	return w.guard("set", w.o.Deadline, func() error { return w.s.Set(key, val) })
}

// SetUint64 is Set of a number.
func (w *watched) SetUint64(key []byte, val uint64) error {
	return w.guard("set", w.o.Deadline, func() error { return w.s.SetUint64(key, val) })
}

// Get returns the value of key.
func (w *watched) Get(key []byte) ([]byte, error) {
	b, err := w.s.Get(key)
	return b, w.read(err)
}

// GetUint64 is Get of a number.
func (w *watched) GetUint64(key []byte) (uint64, error) {
	n, err := w.s.GetUint64(key)
	return n, w.read(err)
}

// Close waits for writes under way and closes the store. Should they not end
// within the deadline the store is left open, and the error says so.
func (w *watched) Close() error {
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
