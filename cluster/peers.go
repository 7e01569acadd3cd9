package cluster

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Streams of calls to one node: short calls do not wait behind chunks.
const (
	short = iota
	bulk
	kinds
)

const connectTime = 2 * time.Second

// peers keeps a stream of calls of each kind to every node that is called.
type peers struct {
	m    *mux
	seen func(method byte, took time.Duration, err error) // hears of every call; may be nil

	mu     sync.Mutex
	lines  map[lineKey]*pipe
	closed bool
}

type lineKey struct {
	to   target
	kind int
}

// pipe is a place for one stream; who dials holds turn.
type pipe struct {
	turn chan struct{}
	mu   sync.Mutex
	l    *caller
}

func newPeers(m *mux) *peers { return &peers{m: m, lines: map[lineKey]*pipe{}} }

var errStopping = errors.New("this node is stopping")

func (p *peers) pipe(k lineKey) (*pipe, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errStopping
	}
	c := p.lines[k]
	if c == nil {
		c = &pipe{turn: make(chan struct{}, 1)}
		p.lines[k] = c
	}
	return c, nil
}

// caller returns a live stream to a node, dialling one if there is none.
func (p *peers) caller(ctx context.Context, to target, kind int) (*caller, error) {
	c, err := p.pipe(lineKey{to, kind})
	if err != nil {
		return nil, err
	}
	if l := c.live(); l != nil {
		return l, nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l := c.live(); l != nil {
		return l, nil
	}
	conn, w, err := p.m.connect(ctx, streamCall, to)
	if err != nil {
		return nil, err
	}
	l := newCaller(conn, w)
	c.mu.Lock()
	old := c.l
	c.l = l
	c.mu.Unlock()
	if old != nil {
		old.wg.Wait()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.lines[lineKey{to, kind}] != c {
		l.kill(errStopping)
		return nil, errStopping
	}
	return l, nil
}

func (c *pipe) live() *caller {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.l == nil || c.l.dead() {
		return nil
	}
	return c.l
}

// call asks a node. Errors are those of caller.call.
func (p *peers) call(ctx context.Context, to target, kind int, method byte, payload ...[]byte) (b []byte, err error) {
	if p.seen != nil {
		start := time.Now()
		defer func() { p.seen(method, time.Since(start), err) }()
	}
	l, err := p.caller(ctx, to, kind)
	if err != nil {
		return nil, &callError{false, err}
	}
	return l.call(ctx, method, payload...)
}

// drop ends the streams to a node on which nothing has come since a time.
func (p *peers) drop(to target, since time.Time) {
	for kind := range kinds {
		p.mu.Lock()
		c := p.lines[lineKey{to, kind}]
		p.mu.Unlock()
		if c == nil {
			continue
		}
		if l := c.live(); l != nil && l.received.Load() < since.UnixNano() {
			l.kill(errors.New("silent since another node leads"))
		}
	}
}

// reset ends all streams: greetings made from now on name our cluster.
func (p *peers) reset() { p.end(errors.New("this node is in a cluster now"), false) }

// close ends all streams for good, and waits for them.
func (p *peers) close() { p.end(errStopping, true) }

func (p *peers) end(cause error, final bool) {
	p.mu.Lock()
	lines := p.lines
	p.lines = map[lineKey]*pipe{}
	p.closed = p.closed || final
	p.mu.Unlock()
	for _, c := range lines {
		c.mu.Lock()
		l := c.l
		c.mu.Unlock()
		if l != nil {
			l.kill(cause)
			l.wg.Wait()
		}
	}
}
