package api

import (
	"sync"
	"sync/atomic"

	"github.com/pfs-project/pfs/vfs"
)

// Budgets of memory in bytes.
const (
	wide       = 1 << 20   // of a large file under way, while there are few: its chunk is opened for each
	window     = 256 << 10 // of another body, and while there are more
	narrow     = 16 << 10  // and while there are many
	wideFiles  = 64        // how many may be wide
	manyBodies = 256       // how many may have a window
)

// windows hands out the buffers of bodies under way. However many clients read
// slowly, they hold 128 MiB and a narrow buffer each.
type windows struct {
	wide, usual   atomic.Int64
	wides, usuals sync.Pool
}

// get returns a window for a body that has n bytes, or does not know.
func (w *windows) get(n int64) []byte {
	if n > window && within(&w.wide, wideFiles) {
		if b, ok := w.wides.Get().(*[wide]byte); ok {
			return b[:]
		}
		return make([]byte, wide)
	}
	if within(&w.usual, manyBodies) {
		if b, ok := w.usuals.Get().(*[window]byte); ok {
			return b[:]
		}
		return make([]byte, window)
	}
	return make([]byte, narrow)
}

// within counts one more, if there are fewer than most.
func within(n *atomic.Int64, most int64) bool {
	if n.Add(1) <= most {
		return true
	}
	n.Add(-1)
	return false
}

func (w *windows) put(b []byte) {
	switch len(b) {
	case wide:
		w.wides.Put((*[wide]byte)(b))
		w.wide.Add(-1)
	case window:
		w.usuals.Put((*[window]byte)(b))
		w.usual.Add(-1)
	}
}

// hold takes n more bytes of the budget for what the call holds in memory;
// Throttled when it is used up. They come back when the call ends.
func (c *call) hold(n int) error {
	if c.s.held.Add(int64(n)) > int64(c.s.limits.Held) {
		c.s.held.Add(int64(-n))
		return vfs.Throttled.With("too much is being held in memory, try again")
	}
	c.holds += int64(n)
	return nil
}

// release gives back what the call holds.
func (c *call) release() {
	c.s.held.Add(-c.holds)
	c.holds = 0
}
