package bench

import (
	"context"
	"net"
	"sync"
)

// line is the connection of a session. When the context of the request under way
// ends, it is closed, and the request fails. A context is watched from its first
// request until another one's, so a load pays for that once and not each time.
type line struct {
	mu    sync.Mutex
	conn  net.Conn
	ctx   context.Context // of the request under way, or of the last one
	busy  bool            // a request is under way
	watch func() bool     // ends the watch over ctx
}

// begin notes that a request begins; it fails if ctx has ended.
func (l *line) begin(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx != l.ctx {
		if l.watch != nil {
			l.watch()
		}
		l.ctx, l.watch = ctx, context.AfterFunc(ctx, func() { l.cut(ctx) })
	}
	// One that ends from here on finds the line busy.
	err := ctx.Err()
	l.busy = err == nil
	return err
}

func (l *line) end() {
	l.mu.Lock()
	l.busy = false
	l.mu.Unlock()
}

// cut closes the connection under a request of ctx. One that waits stays.
func (l *line) cut(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy && l.ctx == ctx && l.conn != nil {
		_ = l.conn.Close() // its reader hears of it
	}
}

// dial connects for the request under way.
func (l *line) dial(addr string) (net.Conn, error) {
	l.mu.Lock()
	ctx := l.ctx
	l.mu.Unlock()
	d := net.Dialer{Timeout: patience}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn = c; ctx.Err() != nil {
		_ = c.Close() // the request fails
	}
	return c, nil
}

// forget ends the watch.
func (l *line) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watch != nil {
		l.watch()
	}
	l.ctx, l.conn, l.watch = nil, nil, nil
}
