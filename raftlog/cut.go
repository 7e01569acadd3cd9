package raftlog

import (
	"math"

	"github.com/hashicorp/raft"
)

// DeleteRange deletes the entries from min to max, both included. Entries that
// are in the state are its head: of them those stay that Hold wants. Any other
// deletion is of the tail, with all that is behind it.
func (w *Watched) DeleteRange(min, max uint64) error {
	if keep := w.forget.Load(); keep != nil && min == keep.Index {
		min++ // see Forget
	}
	if w.o.Applied != nil {
		switch applied := w.o.Applied(); {
		case min <= applied:
			max = w.headEnd(max, applied)
		case w.installing.Load():
			return nil // raft would delete all, and this is behind the snapshot
		default:
			max = math.MaxUint64
			w.cut.Store(true)
		}
	}
	if max < min {
		return nil
	}
	w.cache.drop(min, max)
	w.sizes.drop(min, max)
	return w.guard("delete", deleteDeadlines*w.o.Deadline, true, func() error { return w.s.DeleteRange(min, max) })
}

// headEnd is where a deletion of the head may end.
func (w *Watched) headEnd(max, applied uint64) uint64 {
	max = min(max, applied)
	if w.o.Hold != nil && !w.installing.Load() {
		if hold := w.o.Hold(); hold < max {
			return hold
		}
	}
	return max
}

// tidy removes what an append left behind that was given up. It runs before
// the next append, in its place.
func (w *Watched) tidy(next uint64) error {
	if !w.dirty.Load() {
		return nil
	}
	last, err := w.s.LastIndex()
	if err == nil && last >= next {
		err = w.s.DeleteRange(next, last)
	}
	if err == nil {
		w.dirty.Store(false)
	}
	return err
}

// Conflict tells what stands in the way of a snapshot whose last entry is
// index of term. keep is the last entry that may stay; nil if none has to go.
// stale is true if the log begins behind index: the snapshot is older than the
// state.
//
// Raft keeps what it remembers of the end of its log when it installs a
// snapshot, and from then on compares what the leader sends with entries that
// contradict the snapshot: it would be sent the same one for ever.
func (w *Watched) Conflict(index, term uint64) (keep *raft.Log, stale bool, err error) {
	first, err := w.FirstIndex()
	if err != nil {
		return nil, false, err
	}
	last, err := w.LastIndex()
	switch {
	case err != nil || last < index, first == index+1:
		return nil, false, err
	case first > index:
		return nil, true, nil
	}
	var at raft.Log
	if err := w.GetLog(index, &at); err != nil || at.Term == term {
		return nil, false, err
	}
	keep = &raft.Log{Type: raft.LogNoop}
	if index > first {
		err = w.GetLog(index-1, keep)
	}
	return keep, false, err
}

// Forget has raft drop all entries behind keep, in the store and in what it
// remembers, when it is next asked to append keep itself: to that question the
// store answers once as if it had another entry in its place. Nothing but that
// append may come before done is called.
func (w *Watched) Forget(keep *raft.Log) (done func()) {
	w.forget.Store(keep)
	return func() { w.forget.Store(nil) }
}

// Installing has entries behind the state stay until done is called, and all
// before it go: raft is about to install a snapshot, and would delete both.
func (w *Watched) Installing() (done func()) {
	w.installing.Store(true)
	return func() { w.installing.Store(false) }
}

// pretend answers for the entry that raft is to be asked for; see Forget.
func (w *Watched) pretend(index uint64, log *raft.Log) bool {
	keep := w.forget.Load()
	if keep == nil || keep.Index != index {
		return false
	}
	*log = *keep
	log.Term = math.MaxUint64 // no leader has it
	return true
}

// swallow reports whether logs is the append that Forget waits for: the entry
// is in the store.
func (w *Watched) swallow(logs []*raft.Log) bool {
	keep := w.forget.Load()
	return keep != nil && len(logs) == 1 && logs[0].Index == keep.Index && logs[0].Term == keep.Term
}
