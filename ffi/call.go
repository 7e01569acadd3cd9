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
	data   []byte // behind the body
	into   []byte // takes the answer; nil: it is made
	most   int64  // bytes of the answer
	within time.Duration
}

func (r request) size() int { return len(r.body) + len(r.data) }

// answer is what the process has answered, copied.
type answer struct {
	state state
	body  []byte
}

// waiter waits for the answer of a request that was sent.
type waiter interface {
	// wait returns the answer; it is not answered when over is closed first, and
	// may be waited for again.
	wait(over <-chan struct{}) (a answer, err error, answered bool)
	// forget waits until it is answered, and leaves the answer: where it was to go
	// may be somebody else's by now.
	forget()
}

// call makes one call. When ctx ends first the process goes on with it, and the
// call keeps its lane until it has answered, or was killed for not answering.
func (c *child) call(ctx context.Context, r request) (answer, error) {
	var lane int
	select {
	case lane = <-c.free:
	case <-c.gone:
		return answer{}, errEnded
	case <-ctx.Done():
		return answer{}, vfs.Throttled.With("the plugin is busy")
	}
	if c.ends() {
		c.free <- lane
		select {
		case <-c.gone:
			return answer{}, errEnded
		case <-ctx.Done():
			return answer{}, vfs.Unavailable.With("the plugin is being stopped")
		}
	}
	w := c.take(lane, r)
	a, err, answered := w.wait(ctx.Done())
	if answered && err == nil && a.state == elsewhere {
		w = c.begin(r)
		a, err, answered = w.wait(ctx.Done())
	}
	if !answered {
		go func() {
			w.forget()
			c.free <- lane
		}()
		return answer{}, ctx.Err()
	}
	c.free <- lane
	if err == nil && a.state == failed {
		said, wrong := wire.Error(a.body)
		if err = said; wrong != nil || said == nil {
			err = errAnswer
		}
	}
	return a, err
}

// take sends a request through a lane if it has one, and has room.
func (c *child) take(lane int, r request) waiter {
	if c.lanes != nil && r.kind != askStart {
		if over, ok := c.lanes.put(lane, r); ok {
			return c.through(lane, r, over)
		}
	}
	return c.begin(r)
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
		return c.fault != nil
	}
}

// exchange sends a request over the socket and waits for its answer.
func (c *child) exchange(r request) error {
	a, err, _ := c.begin(r).wait(nil)
	if err == nil && a.state == failed {
		said, wrong := wire.Error(a.body)
		return errors.Join(said, wrong)
	}
	return err
}

// waiting is a request that was sent over the socket.
type waiting struct {
	c    *child
	r    request
	p    *pending
	late *time.Timer
}

// begin sends a request over the socket.
func (c *child) begin(r request) waiter {
	p := &pending{kind: r.kind, most: max(r.most, int64(len(r.into))), answer: make(chan frame, 1)}
	c.mu.Lock()
	c.last++
	id := c.last
	c.calls[id] = p
	c.mu.Unlock()
	w := waiting{c, r, p, time.NewTimer(r.within)}
	body := r.body
	if len(r.data) > 0 {
		body = append(body[:len(body):len(body)], r.data...)
	}
	c.send(frame{id: id, kind: r.kind, body: body}, r.within)
	return w
}

func (w waiting) forget() {
	w.r.into = nil
	_, _, _ = w.wait(nil)
}

func (w waiting) wait(over <-chan struct{}) (a answer, err error, answered bool) {
	var f frame
	select {
	case f = <-w.p.answer:
	case <-w.late.C:
		return a, w.c.failed(errLate), true
	case <-w.c.gone:
		select {
		case f = <-w.p.answer: // the last that it said
		default:
			w.late.Stop()
			return a, w.c.reason(), true
		}
	case <-over:
		return a, nil, false
	}
	w.late.Stop()
	switch {
	case f.state == failed || w.r.into == nil:
		return answer{f.state, f.body}, nil, true
	case len(f.body) > len(w.r.into):
		return a, errAnswer, true
	}
	return answer{f.state, w.r.into[:copy(w.r.into, f.body)]}, nil, true
}

// send writes a frame. If that fails the process is of no use any more.
func (c *child) send(f frame, within time.Duration) {
	c.write.Lock()
	defer c.write.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(within)) // of a closed one the write tells
	switch err := writeFrame(c.conn, f); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		_ = c.failed(errLate) // whoever waits for the answer is told
	case err != nil:
		c.Kill()
	}
}
