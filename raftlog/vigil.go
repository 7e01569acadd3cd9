package raftlog

import "time"

// standstill is a time between two looks that is too long: the process stood still
// itself, as one that is stopped does, and has not waited for its disk.
const standstill = 3 * time.Second

// stood returns for how long the process stood still between two looks.
func stood(last, now time.Time) time.Duration {
	if d := now.Sub(last); d > standstill {
		return d
	}
	return 0
}

// vigil is somebody's wait for a write, which began when it says but for the time in
// which the process stood still.
type vigil struct {
	r           *write
	began, last time.Time // last: the last look
}

func newVigil(r *write) *vigil {
	now := time.Now()
	return &vigil{r, now, now}
}

func (r *write) moves(until time.Time) { r.moving.Store(&until) }

// look reports whether writes on this disk wait for space. The disk is known to
// move then, and is not blamed for the time in which the process stood still.
func (w *Watched) look(v *vigil) (starving bool) {
	now := time.Now()
	idle := stood(v.last, now)
	v.began, v.last = v.began.Add(idle), now
	moving := v.r.moving.Load().Add(idle)
	if starving = w.starving(); starving || moving.After(now) { // two may have added the same
		moving = now
	}
	v.r.moves(moving)
	return starving
}

func (v *vigil) waited() time.Duration { return v.last.Sub(v.began) }

// late reports whether the disk has not moved for too long.
func (v *vigil) late() bool { return v.last.Sub(*v.r.moving.Load()) >= v.r.deadline }
