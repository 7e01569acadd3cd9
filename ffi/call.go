package ffi

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// request is a call as it is asked for.
type request struct {
	kind   kind
	body   []byte
	most   int64 // bytes of the answer
	within time.Duration
}

// call makes one call. When ctx ends first the process goes on with it, and the
// call keeps its slot until it has answered, or was killed for not answering.
func (c *child) call(ctx context.Context, r request) ([]byte, error) {
	select {
	case c.slots <- struct{}{}:
	case <-c.gone:
		return nil, errEnded
	case <-ctx.Done():
		return nil, vfs.Throttled.With("the plugin is busy")
	}
	if c.ends() {
		<-c.slots
		select {
		case <-c.gone:
			return nil, errEnded
		case <-ctx.Done():
			return nil, vfs.Unavailable.With("the plugin is being stopped")
		}
	}
	w := c.begin(r)
	body, err, answered := w.wait(ctx.Done())
	if !answered {
		go func() {
			_, _, _ = w.wait(nil) // nobody asks any more
			<-c.slots
		}()
		return nil, ctx.Err()
	}
	<-c.slots
	return body, err
}

// errEnded says that a call was not begun: the process has ended.
var errEnded = errors.New("the process has ended")

// ends reports whether the process has ended, or was killed.
func (c *child) ends() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.gone:
		return true
	default:
		return c.late != nil
	}
}

// exchange sends a request and waits for its answer.
func (c *child) exchange(r request) ([]byte, error) {
	body, err, _ := c.begin(r).wait(nil)
	return body, err
}

// waiting is a request that was sent.
type waiting struct {
	c    *child
	p    *pending
	late *time.Timer
}

// begin sends a request.
func (c *child) begin(r request) waiting {
	p := &pending{kind: r.kind, most: r.most, answer: make(chan frame, 1)}
	c.mu.Lock()
	c.last++
	id := c.last
	c.calls[id] = p
	c.mu.Unlock()
	w := waiting{c, p, time.NewTimer(r.within)}
	c.send(frame{id: id, kind: r.kind, body: r.body}, r.within)
	return w
}

// wait returns the answer; it is not answered when over is closed first, and may
// be waited for again.
func (w waiting) wait(over <-chan struct{}) (body []byte, err error, answered bool) {
	var f frame
	select {
	case f = <-w.p.answer:
	case <-w.late.C:
		return nil, w.c.tooLate(), true
	case <-w.c.gone:
		select {
		case f = <-w.p.answer: // the last that it said
		default:
			w.late.Stop()
			return nil, w.c.reason(), true
		}
	case <-over:
		return nil, nil, false
	}
	w.late.Stop()
	if !f.failed {
		return f.body, nil, true
	}
	said, err := wire.Error(f.body)
	if err != nil || said == nil {
		return nil, errAnswer, true
	}
	return nil, said, true
}

// send writes a frame. If that fails the process is of no use any more.
func (c *child) send(f frame, within time.Duration) {
	c.write.Lock()
	defer c.write.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(within)) // of a closed one the write tells
	switch err := writeFrame(c.conn, f); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		_ = c.tooLate() // whoever waits for the answer is told
	case err != nil:
		c.Kill()
	}
}
