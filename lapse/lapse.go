// Package lapse makes contexts that end after a time, and cost a timer only if
// somebody waits for that: most steps of a request are over before anybody asks.
package lapse

import (
	"context"
	"sync"
	"time"
)

// Context ends at a time, with the context it was made from, or by End.
type Context struct {
	from  context.Context
	until time.Time

	mu     sync.Mutex
	waited context.Context // the same, with a timer; nil until somebody waits
	cancel context.CancelFunc
	err    error // nil until it has ended as far as anybody was told
}

var _ context.Context = (*Context)(nil)

// After returns a Context that ends d from now. The caller calls End when what it
// is for is over.
func After(from context.Context, d time.Duration) *Context {
	until := time.Now().Add(d)
	if t, ok := from.Deadline(); ok && t.Before(until) {
		until = t
	}
	return &Context{from: from, until: until}
}

// End ends it, if it has not ended. It may be called again.
func (c *Context) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.waited != nil:
		c.cancel()
	case c.err == nil:
		c.err = context.Canceled
	}
}

// Deadline returns when it ends at the latest.
func (c *Context) Deadline() (time.Time, bool) { return c.until, true }

// Done returns what is closed when it has ended.
func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waited == nil {
		c.waited, c.cancel = context.WithDeadline(c.from, c.until)
		if c.err != nil {
			c.cancel()
		}
	}
	return c.waited.Done()
}

// Err returns why it has ended; nil while it has not.
func (c *Context) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil: // what was told once stays
	case c.waited != nil:
		c.err = c.waited.Err()
	case c.from.Err() != nil:
		c.err = c.from.Err()
	case !time.Now().Before(c.until):
		c.err = context.DeadlineExceeded
	}
	return c.err
}

// Value returns what the context that it was made from has under key. Once
// somebody waits, contexts made from it find its timer by this.
func (c *Context) Value(key any) any {
	c.mu.Lock()
	from := c.from
	if c.waited != nil {
		from = c.waited
	}
	c.mu.Unlock()
	return from.Value(key)
}

// Ends returns when ctx ends at the latest, zero if that is never, and what is
// closed if it ends before. It makes no timer: who waits brings one of his own. An
// End of ctx itself, or of a Context above it, is not seen: only who ends them may
// wait so.
func Ends(ctx context.Context) (until time.Time, before <-chan struct{}) {
	c, ok := ctx.(*Context)
	if !ok {
		return time.Time{}, ctx.Done()
	}
	c.mu.Lock()
	free := c.waited == nil && c.err == nil
	c.mu.Unlock()
	if !free {
		return c.until, c.Done()
	}
	_, before = Ends(c.from) // which does not end after c by its time
	return c.until, before
}
