package raftlog

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// spaceTime is how long an append waits for space before raft is told, so that
// a leader gives way to a node that has some.
const spaceTime = time.Second

// ErrNoSpace says that the disk had no space for an append: nothing of it is in
// the log, and the log goes on.
var ErrNoSpace = errors.New("no space for the raft log")

// ErrLeft says that an append still waits for space: it may or may not come
// into the log, from which the next append removes it again.
var ErrLeft = errors.New("an append to the raft log waits for space")

// write is one write on its way to the store.
type write struct {
	what     string
	deadline time.Duration
	must     bool // it waits for space as long as it takes
	do       func() error
	gave     atomic.Bool // nobody waits for it any more
	done     chan error  // holds one
}

// guard does a write, at most until the deadline, which does not run while
// writes on this disk wait for space.
func (w *Watched) guard(what string, deadline time.Duration, must bool, do func() error) error {
	if err := w.failed(); err != nil {
		return err
	}
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	if err := w.awaitLeft(timer.C, must); err != nil {
		return err
	}
	select {
	case w.writing <- struct{}{}:
	case <-timer.C:
		return w.late(what, deadline)
	}
	r := &write{what: what, deadline: deadline, must: must, do: do, done: make(chan error, 1)}
	go r.run(w)
	return w.await(r)
}

// run does the write until it finds space or nobody waits for it.
func (r *write) run(w *Watched) {
	defer func() { <-w.writing }()
	defer func() {
		if p := recover(); p != nil {
			r.done <- fmt.Errorf("panic: %v", p)
		}
	}()
	err := r.do()
	for err != nil && !r.gave.Load() && w.o.Retry != nil && w.o.Retry(err) {
		err = r.do()
	}
	r.done <- err
}

// await returns what became of a write.
func (w *Watched) await(r *write) error {
	began, hurry := time.Now(), time.Now() // the deadline runs from hurry
	look := time.NewTimer(min(spaceTime, r.deadline))
	defer look.Stop()
	for {
		select {
		case err := <-r.done:
			return w.ended(r, err)
		case <-look.C:
		}
		switch now := time.Now(); {
		case w.starving():
			hurry = now
			if !r.must && now.Sub(began) >= spaceTime {
				return w.leave(r)
			}
		case now.Sub(hurry) >= r.deadline:
			return w.late(r.what, r.deadline)
		}
		look.Reset(min(spaceTime/10, r.deadline))
	}
}

// ended judges the result of a write: want of space is no fault.
func (w *Watched) ended(r *write, err error) error {
	switch {
	case err == nil:
		return w.failed()
	case w.o.Retry != nil && w.o.NoSpace(err):
		if r.must {
			select {} // the volume is closed, and raft could not go on without it
		}
		return fmt.Errorf("%s: %w", r.what, ErrNoSpace)
	}
	return w.fail(fmt.Errorf("raft log: %s: %w", r.what, err))
}

// leave gives a write up that waits for space. One that the store takes back
// ends at once; any other is waited for before the next.
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

// awaitLeft waits for the write that was given up: none may overtake it.
func (w *Watched) awaitLeft(deadline <-chan time.Time, must bool) error {
	r := w.left.Load()
	if r == nil {
		return nil
	}
	give := time.After(spaceTime)
	if must {
		give = nil
	}
	for {
		select {
		case err := <-r.done:
			r.done <- err // for another who waits
			if w.left.CompareAndSwap(r, nil) {
				w.dirty.Store(true)
			}
			if err != nil && !w.o.NoSpace(err) {
				return w.fail(fmt.Errorf("raft log: %s: %w", r.what, err))
			}
			return nil
		case <-give:
			return fmt.Errorf("%s: %w", r.what, ErrNoSpace)
		case <-deadline:
			if !w.starving() {
				return w.late(r.what, r.deadline)
			}
			deadline = time.After(r.deadline)
		}
	}
}

func (w *Watched) starving() bool { return w.o.Starving != nil && w.o.Starving() }

func (w *Watched) late(what string, deadline time.Duration) error {
	return w.fail(fmt.Errorf("raft log: %s took longer than %v", what, deadline))
}
