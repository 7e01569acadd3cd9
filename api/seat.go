package api

import (
	"context"
	"sync"

	"github.com/pfs-project/pfs/vfs"
)

// idleCall is about what a call of an agent takes that only waits, in bytes.
const idleCall = 16 << 10

// Idler is what the http.ResponseWriter of Config.MCP is, too. A call that begins to
// wait gives its place among those under way to another one, and takes one again with
// resume before it goes on: an error is that of ctx, which ended before there was one.
// Both may be called when the request is over.
type Idler interface {
	Idle() (resume func(ctx context.Context) error)
}

// seat is the place of one call of an agent.
type seat struct {
	s    *Server
	mu   sync.Mutex
	has  bool
	idle bool // it was given back once, which is counted until the end
	over bool
}

// newSeat takes a place; Throttled if there is none.
func (s *Server) newSeat() (*seat, error) {
	select {
	case s.tools <- struct{}{}:
		return &seat{s: s, has: true}, nil
	default:
		return nil, vfs.Throttled.Withf("%d calls of tools are under way already", cap(s.tools))
	}
}

// Idle implements Idler. Where too many wait already the place is kept.
func (p *seat) Idle() (resume func(ctx context.Context) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || !p.has || !p.idle && !p.s.mayIdle() {
		return func(ctx context.Context) error { return ctx.Err() }
	}
	p.idle, p.has = true, false
	<-p.s.tools
	return p.resume
}

func (p *seat) resume(ctx context.Context) error {
	select {
	case p.s.tools <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.has = !p.over; p.over {
		<-p.s.tools
	}
	return ctx.Err()
}

// leave gives up all of it, for good.
func (p *seat) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.has {
		<-p.s.tools
	}
	if p.idle {
		p.s.idle.Add(-1)
		p.s.held.Add(-idleCall)
	}
}

// mayIdle counts one more call that waits, if there is room: half of the budget of
// memory is left to others.
func (s *Server) mayIdle() bool {
	if s.idle.Add(1) > int64(s.limits.Waits) {
		s.idle.Add(-1)
		return false
	}
	if s.held.Add(idleCall) > int64(s.limits.Held)/2 {
		s.held.Add(-idleCall)
		s.idle.Add(-1)
		return false
	}
	return true
}
