package api

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/pfs-project/pfs/vfs"
)

// phase is what a connection waits for.
type phase uint8

const (
	phaseIdle phase = iota // the first byte of a request
	phaseHead              // the rest of its header
	phaseBody              // its body
)

// piece is how many bytes one write deadline covers: a body comes in windows.
const piece = window

// errSlow is what a body that arrives too slowly gives; it is a timeout.
var errSlow error = &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}

// errBodyCut is what a connection gives that ends within a body. A plain EOF would
// look like the end of a body without a length, and half of it would be kept.
var errBodyCut error = &vfs.Error{Kind: vfs.Invalid, Reason: "body: the connection ended before it did"}

// conn is an accepted connection with deadlines that move with the transfer:
// the header has a fixed time, a body and an answer only have to keep moving.
// Between requests it gives fasthttp's buffers back: Read answers EOF, which
// ends ServeConn, and the connection waits parked with one byte of memory.
// All fields but those under mu belong to the connection's goroutine.
type conn struct {
	net.Conn
	s      *Server
	phase  phase
	headBy time.Time
	first  byte // read while parked
	has    bool // first is to be handed out
	parked bool // ServeConn ended because the connection was idle
	unread bool // the client may still be sending what nobody will read
	says   bool // the request has a header field that the answer may depend on
	line   int  // bytes since the last newline

	readBy, writeBy time.Time // deadlines as they were set; the zero one is not known

	blocked time.Duration // spent waiting for the body in this window
	moved   int           // bytes of body in this window
	until   time.Time     // if set, the body has to end by then
	patient bool          // the body is a stream, which may have nothing to say

	mu   sync.Mutex
	idle bool // blocked in Read between requests
	stop bool // the server shuts down
}

// Close is called by fasthttp when it is done with the connection; the loop
// that accepted it decides what follows.
func (c *conn) Close() error { return nil }

// state follows fasthttp through the requests of the connection.
func (c *conn) state(s fasthttp.ConnState) {
	switch s {
	case fasthttp.StateActive:
		c.phase, c.headBy = phaseHead, time.Now().Add(c.s.limits.Head)
	case fasthttp.StateIdle:
		c.phase = phaseIdle
	}
}

// body starts the clock of a body; called when the handler begins.
func (c *conn) body() {
	c.phase, c.blocked, c.moved, c.until = phaseBody, 0, 0, time.Time{}
	c.patient = false
}

// hurry bounds what is left of a body that nobody waits for.
func (c *conn) hurry() { c.until = time.Now().Add(time.Second) }

// Read reads with the deadline of the phase.
func (c *conn) Read(p []byte) (n int, err error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case c.has:
		p[0], c.has = c.first, false
		n = 1
	case c.phase == phaseIdle:
		n, err = c.readIdle(p, c.s.limits.Warm, 2*c.s.limits.Warm)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.parked = !c.stopped()
			err = io.EOF
		}
	case c.phase == phaseHead:
		if err = c.readUntil(c.headBy); err == nil {
			n, err = c.Conn.Read(p)
		}
	default:
		n, err = c.readBody(p)
	}
	c.s.metrics.in.Add(uint64(n))
	if i := bytes.LastIndexByte(p[:n], '\n'); i >= 0 {
		c.line = n - 1 - i
	} else {
		c.line += n
	}
	return n, err
}

// patience is how much longer than another body one that is a stream may stand
// still; it has to move at all, and not at a rate.
const patience = 20

// readBody reads as long as at least MinRate bytes a second arrive, averaged
// over each Stall of waiting.
func (c *conn) readBody(p []byte) (int, error) {
	stall, rate := c.s.limits.Stall, c.s.limits.MinRate
	if c.patient {
		stall, rate = patience*stall, 0
	}
	start := time.Now()
	by := start.Add(stall - c.blocked)
	if !c.until.IsZero() {
		by = c.until
	}
	if err := c.readUntil(by); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	c.blocked += time.Since(start)
	c.moved += n
	if err == io.EOF {
		return n, errBodyCut
	}
	if c.blocked >= stall {
		if c.moved == 0 || float64(c.moved) < stall.Seconds()*float64(rate) {
			return n, errSlow
		}
		c.blocked, c.moved = 0, 0
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			return c.readBody(p)
		}
	}
	return n, err
}

// readUntil sets the deadline of reads.
func (c *conn) readUntil(t time.Time) error {
	c.readBy = t
	return c.Conn.SetReadDeadline(t)
}

// readIdle waits for the first bytes of a request, for at least as long as least
// and at most as long as most: a deadline in between stays, as each that is set
// moves a timer of the runtime. A shutdown ends it.
func (c *conn) readIdle(p []byte, least, most time.Duration) (n int, err error) {
	now := time.Now()
	c.mu.Lock()
	c.idle = true
	if left := c.readBy.Sub(now); c.stop {
		err = c.readUntil(now.Add(-time.Second))
	} else if left < least || left > most {
		err = c.readUntil(now.Add(most))
	}
	c.mu.Unlock()
	if err == nil {
		n, err = c.Conn.Read(p)
	}
	c.mu.Lock()
	c.idle = false
	c.mu.Unlock()
	return n, err
}

// park waits for the next request without any buffer; false when the client
// has gone, was idle for too long, or the server stops.
func (c *conn) park() bool {
	var b [1]byte
	if n, _ := c.readIdle(b[:], c.s.limits.Idle, c.s.limits.Idle); n == 0 {
		return false
	}
	c.first, c.has, c.parked = b[0], true, false
	return true
}

// drain tells the connection that the server stops: an idle one ends now.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop = true
	if c.idle {
		_ = c.Conn.SetReadDeadline(time.Now().Add(-time.Second)) // it is going away anyhow
	}
}

func (c *conn) stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stop
}

// looks is how often a write that does not get on is looked at within Stall.
const looks = 10

// Write writes in pieces, for as long as the client takes some of it within
// Stall. The kernel may take a few bytes more at each try although the client
// stands still; so a try is short, and what it moved counts from its own end. A
// deadline of which half is left is good for one more try.
func (c *conn) Write(p []byte) (int, error) {
	stall := c.s.limits.Stall
	try := stall / looks
	now := time.Now()
	moved := now
	for done := 0; ; {
		part := p[done:min(len(p), done+piece)]
		if c.writeBy.Sub(now) < try/2 {
			c.writeBy = now.Add(try)
			if err := c.Conn.SetWriteDeadline(c.writeBy); err != nil {
				return done, err
			}
		}
		n, err := c.Conn.Write(part)
		done += n
		c.s.metrics.out.Add(uint64(n))
		if err == nil && done == len(p) {
			return done, nil
		}
		if now = time.Now(); n > 0 {
			moved = now
		}
		if err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || now.Sub(moved) >= stall) {
			return done, err
		}
	}
}

// linger closes so that the client gets the last answer: while unread bytes
// are under way, a plain close would throw it away.
func (c *conn) linger() {
	defer c.Conn.Close()
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !c.unread || !ok || half.CloseWrite() != nil {
		return
	}
	end := time.Now().Add(5 * time.Second)
	buf := make([]byte, 16<<10)
	for left := 64 << 20; left > 0; {
		wait := time.Now().Add(500 * time.Millisecond)
		if wait.After(end) {
			return
		}
		if c.Conn.SetReadDeadline(wait) != nil {
			return
		}
		n, err := c.Conn.Read(buf)
		if err != nil {
			return
		}
		left -= n
	}
}
