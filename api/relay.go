package api

import (
	"context"
	"io"
	"strconv"

	"github.com/pfs-project/pfs/vfs"
)

// relayPart is what part of the readers of streams may be of streams outside the
// log, each of which takes a connection and its buffers.
const relayPart = 8

// relay is a reader of a stream that a Device has, as the body of an answer.
type relay struct {
	s      life
	conn   *conn
	from   io.ReadCloser
	cancel context.CancelFunc
	asked  vfs.Path // as the client named it
}

// relayStream answers GET /files?stream=true of a Device: rel is the stream in
// the mount, p what the client called it.
func (c *call) relayStream(d vfs.Tuner, rel, p vfs.Path, from string) error {
	if v, ok := c.query.get("from"); ok {
		from = v
	}
	if _, ok := digits([]byte(from)); !ok && from != "oldest" && from != "now" {
		return errFrom
	}
	if err := c.s.relays.enter(max(c.s.limits.Waits/relayPart, 1)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.context())
	body, off, err := d.Tune(ctx, rel, from)
	if err != nil {
		cancel()
		c.s.relays.leave(heard{})
		switch k := vfs.KindOf(err); {
		case k == vfs.Unsupported && from == "oldest":
			err = vfs.NotFound.Withf("filesystem does not support streaming: %s", p)
		case k == vfs.Range && off >= 0:
			c.oldest = &off
		}
		return named(err, "read", p)
	}
	if off >= 0 {
		c.set("X-Pfs-Offset", strconv.FormatInt(off, 10))
	}
	c.streamHead()
	r := &relay{c.life(), c.conn, body, cancel, p}
	if c.method() == "HEAD" {
		return r.Close()
	}
	c.fc.Response.ImmediateHeaderFlush = true
	c.fc.Response.SetBodyStream(r, -1)
	return nil
}

// Read is never used: the body is written.
func (r *relay) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// SupportsBodyWriteTo makes fasthttp use WriteTo.
func (r *relay) SupportsBodyWriteTo() bool { return true }

// WriteTo sends what comes. It ends well when the stream does; an error, after
// which the client sees a body that was cut off, tells that there is more.
func (r *relay) WriteTo(w io.Writer) (sent int64, err error) {
	defer r.s.faults(&err)
	defer r.watch()()
	buf := r.s.windows.get(0)
	defer r.s.windows.put(buf)
	for {
		n, rerr := r.from.Read(buf)
		if n > 0 {
			n, err = w.Write(buf[:n])
			sent += int64(n)
		}
		switch {
		case err == nil && rerr == io.EOF:
			return sent, nil
		case err == nil:
			err = rerr
		}
		if err != nil {
			r.s.log.Debug("reader of a stream is cut off", "request_id", r.s.trace.ID(), "path", string(r.asked), "error", err)
			return sent, err
		}
	}
}

// watch ends the stream when the client has left or the node stops, until stop
// is called.
func (r *relay) watch() (stop func()) {
	var left <-chan struct{}
	forget := func() {}
	if r.conn != nil {
		left, forget = r.conn.left()
	}
	over, done := make(chan struct{}), make(chan struct{})
	go func() { // waited for by stop
		defer close(done)
		select {
		case <-left:
		case <-r.s.waits.over:
		case <-r.s.base.Done():
		case <-over:
			return
		}
		r.cancel()
	}()
	return func() {
		close(over)
		<-done
		forget()
	}
}

// Close lets the stream go.
func (r *relay) Close() error {
	r.cancel()
	r.s.relays.leave(heard{})
	return r.from.Close()
}
