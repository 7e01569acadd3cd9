package raftlog

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// How long an append may take before raft is told, so that a leader gives way:
// to a node that has space, or to one whose disk moves.
const (
	spaceTime = time.Second
	stallPart = 2 // of the deadline
)

// ErrNoSpace says that the disk had no space for an append: nothing of it is in
// the log, and the log goes on.
var ErrNoSpace = errors.New("no space for the raft log")

// ErrLeft says that an append has not come back: it may or may not come into
// the log, from which the next append removes it again.
var ErrLeft = errors.New("an append to the raft log has not come back")

// write is one write on its way to the store.
type write struct {
	what     string
	deadline time.Duration
	must     bool // it is waited for as long as it takes
	do       func() error
	moving   atomic.Pointer[time.Time] // until when its disk is known to move
	gave     atomic.Bool               // nobody waits for it any more
	done     chan error                // holds one
}

// guard does a write, at most until the deadline, which does not run while
// writes on this disk wait for space.
func (w *Watched) guard(what string, deadline time.Duration, must bool, do func() error) error {
	if err := w.failed(); err != nil {
		return err
	}
	r := &write{what: what, deadline: deadline, must: must, do: do, done: make(chan error, 1)}
	if err := w.awaitLeft(r); err != nil {
		return err
	}
	if !w.awaitTurn(deadline) {
		return w.late(r)
	}
	go r.run(w)
	return w.await(r)
}

// awaitTurn waits until it is a write's turn; false after the deadline. It is two
// halves: the process may stand still in one.
func (w *Watched) awaitTurn(deadline time.Duration) bool {
	timer := time.NewTimer(deadline / 2)
	defer timer.Stop()
	for range 2 {
		select {
		case w.writing <- struct{}{}:
			return true
		case <-timer.C:
			timer.Reset(deadline / 2)
		}
	}
	return false
}

// run does the write until it finds space or nobody waits for it.
func (r *write) run(w *Watched) {
	defer func() { <-w.writing }()
	defer func() {
		if p := recover(); p != nil {
			r.done <- fmt.Errorf("panic: %v", p)
		}
	}()
	err := r.once(w)
	for err != nil && !r.gave.Load() && w.o.Retry != nil && w.o.Retry(err) {
		err = r.once(w)
	}
	r.done <- err
}

// once is one try.
func (r *write) once(w *Watched) error {
	if w.o.Begin != nil {
		defer w.o.Begin(r.what, "raft log")()
	}
	return r.do()
}

// await returns what became of a write that begins now.
func (w *Watched) await(r *write) error {
	v := newVigil(r)
	r.moves(v.last)
	look := time.NewTimer(min(spaceTime, r.deadline/stallPart))
	defer look.Stop()
	for {
		select {
		case err := <-r.done:
			return w.ended(r, err)
		case <-look.C:
		}
		patience := r.deadline / stallPart
		if w.look(v) {
			patience = spaceTime
		}
		switch {
		case v.late():
			return w.late(r)
		case !r.must && v.waited() >= patience && w.o.Retry != nil:
			return w.leave(r)
		}
		look.Reset(min(spaceTime/10, r.deadline/stallPart))
	}
}

// ended judges the result of a write: want of space is no fault.
func (w *Watched) ended(r *write, err error) error {
	switch {
	case err == nil:
		return w.failed()
	case w.o.Retry != nil && w.o.NoSpace(err):
		if r.must { // the volume is closed
			w.park()
		}
		return fmt.Errorf("%s: %w", r.what, ErrNoSpace)
	}
	return w.fail(fmt.Errorf("raft log: %s: %w", r.what, err))
}

// leave gives a write up. One that the store takes back for want of space ends
// at once; any other is waited for before the next.
func (w *Watched) leave(r *write) error {
	r.gave.Store(true)
	select {
	case err := <-r.done:
		return w.ended(r, err)
	case <-time.After(spaceTime / 4):
	}
	w.left.Store(r)
	return fmt.Errorf("%s: %w", r.what, ErrLeft)
}

// awaitLeft waits for the write that was given up: none may overtake it. Nobody may
// have looked at it since, so it is not late before it was waited for.
func (w *Watched) awaitLeft(next *write) error {
	r := w.left.Load()
	if r == nil {
		return nil
	}
	v := newVigil(r)
	if moving := v.last.Add(min(spaceTime, r.deadline) - r.deadline); moving.After(*r.moving.Load()) {
		r.moves(moving)
	}
	look := time.NewTicker(min(spaceTime/10, r.deadline/stallPart))
	defer look.Stop()
	for {
		select {
		case err := <-r.done:
			return w.reaped(r, err)
		case <-look.C:
		}
		starving := w.look(v)
		switch {
		case v.late():
			return w.late(r)
		case next.must || v.waited() < spaceTime:
		case starving:
			return fmt.Errorf("%s behind another: %w", next.what, ErrNoSpace)
		default:
			return fmt.Errorf("%s behind another: %w", next.what, ErrLeft)
		}
	}
}

// reaped takes note that the write that was given up has ended.
func (w *Watched) reaped(r *write, err error) error {
	r.done <- err // for another who waits
	if w.left.CompareAndSwap(r, nil) {
		w.dirty.Store(true)
	}
	if err != nil && (w.o.NoSpace == nil || !w.o.NoSpace(err)) {
		return w.fail(fmt.Errorf("raft log: %s: %w", r.what, err))
	}
	return nil
}

func (w *Watched) starving() bool { return w.o.Starving != nil && w.o.Starving() }

func (w *Watched) late(r *write) error {
	return w.fail(fmt.Errorf("raft log: %s took longer than %v", r.what, r.deadline))
}
