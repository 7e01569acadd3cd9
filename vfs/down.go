package vfs

import (
	"errors"
	"time"
)

// Down says why a Device is not up on a node, and what is done about it.
type Down struct {
	Cause error
	Tries int       // how many starts have failed
	Retry time.Time // when the next is due; zero while one is under way
}

// ErrStarting is the cause of a Device that is being started for the first time.
var ErrStarting = errors.New("starting")

// StartingOf returns the mount that err says is just being started; "" for other
// errors.
func StartingOf(err error) Path {
	if err == nil { // what As is given lives on the heap
		return ""
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Starting
	}
	return ""
}

// Error tells the cause.
func (d *Down) Error() string { return d.Cause.Error() }

// Unwrap returns the cause.
func (d *Down) Unwrap() error { return d.Cause }

// MountState is how a mount fares on one node.
type MountState struct {
	Status string     `json:"status"` // pending, mounted, failed
	Error  string     `json:"error,omitempty"`
	Tries  int        `json:"tries,omitempty"`    // starts that have failed, one after the other
	Retry  *time.Time `json:"retry_at,omitempty"` // when the next is due
	// Of a third-party plugin: what its process does (stopped, starting, ready, backoff,
	// failed, stopping; a module is ready or backoff), and how often that, or an instance
	// of the module, has ended unasked since it was mounted.
	Process string `json:"process,omitempty"`
	Ends    int    `json:"process_ends,omitempty"`
}

// Stater is a Device that may be mounted and yet not serve: it says how its mount
// fares on this node.
type Stater interface {
	MountState() MountState
}

// The states of a mount.
const (
	MountPending = "pending"
	MountUp      = "mounted"
	MountFailed  = "failed"
)

// Starts reports whether the mount is being started on this node for the first
// time.
func (m Mounted) Starts() bool { return m.FS == nil && errors.Is(m.Err, ErrStarting) }

// State returns how the mount fares on this node.
func (m Mounted) State() MountState {
	var d *Down
	switch {
	case m.Err == nil && m.FS == nil:
		return MountState{Status: MountPending}
	case m.Err == nil:
		if s, ok := m.FS.(Stater); ok {
			return s.MountState()
		}
		return MountState{Status: MountUp}
	case !errors.As(m.Err, &d):
		return MountState{Status: MountFailed, Error: m.Err.Error()}
	}
	s := MountState{Status: MountFailed, Error: d.Error(), Tries: d.Tries}
	if d.Tries == 0 {
		s.Status = MountPending
	}
	if !d.Retry.IsZero() {
		at := d.Retry.UTC().Truncate(time.Millisecond)
		s.Retry = &at
	}
	return s
}
