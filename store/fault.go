package store

import (
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pfs-project/pfs/vfs"
)

// fault remembers the first failure of a database and hands it on once. It is
// pebble's logger too, because that is where pebble reports failed commits.
type fault struct {
	fatal func(error)
	armed atomic.Bool // off while opening and closing: errors are then returned
	err   atomic.Pointer[error]
	told  atomic.Bool
}

func newFault(fatal func(error)) *fault {
	if fatal == nil {
		fatal = func(err error) { panic(vfs.StoreFault{Err: err}) }
	}
	return &fault{fatal: fatal}
}

func (f *fault) arm() {
	f.armed.Store(true)
	f.tell() // of what has failed in the background before
}

func (f *fault) disarm() { f.armed.Store(false) }

func (f *fault) get() error {
	if p := f.err.Load(); p != nil {
		return *p
	}
	return nil
}

func (f *fault) raise(err error) {
	f.err.CompareAndSwap(nil, &err)
	f.tell()
}

// tell hands the failure on, once, if there is one and it is armed.
func (f *fault) tell() {
	if err := f.get(); err != nil && f.armed.Load() && f.told.CompareAndSwap(false, true) {
		f.fatal(err)
	}
}

// Infof drops pebble's chatter.
func (f *fault) Infof(string, ...any) {}

// Errorf drops messages: whatever they tell comes as an event or an error too.
func (f *fault) Errorf(string, ...any) {}

// Fatalf is how pebble reports that it cannot go on.
func (f *fault) Fatalf(format string, args ...any) { f.raise(fmt.Errorf(format, args...)) }

func (f *fault) listener() *pebble.EventListener {
	return &pebble.EventListener{
		// A flush or compaction that fails would be retried for ever while
		// the write-ahead log grows.
		BackgroundError: func(err error) { f.raise(fmt.Errorf("background: %w", err)) },
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			f.raise(fmt.Errorf("%w: %s: %w", ErrCorrupt, i.Path, i.Details))
		},
	}
}
