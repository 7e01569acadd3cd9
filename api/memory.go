package api

import (
	"sync"
	"sync/atomic"

	"github.com/pfs-project/pfs/vfs"
)

// Budgets of memory in bytes.
const (
	window     = 256 << 10 // of a body under way, while there are few
	narrow     = 16 << 10  // and while there are many
	wideBodies = 512       // how many may have a window
)

// windows hands out the buffers of bodies under way. However many clients read
// slowly, they hold 128 MiB and a narrow buffer each.
type windows struct {
	wide atomic.Int64
	pool sync.Pool
}

func (w *windows) get() []byte {
	if w.wide.Add(1) > wideBodies {
		w.wide.Add(-1)
		return make([]byte, narrow)
	}
	if b, ok := w.pool.Get().(*[window]byte); ok {
		return b[:]
	}
	return make([]byte, window)
}

func (w *windows) put(b []byte) {
	if len(b) == window {
		w.pool.Put((*[window]byte)(b))
		w.wide.Add(-1)
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
