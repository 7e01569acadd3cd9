package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// mux is the node-to-node port. A stream says in its first byte whether it
// carries raft or calls, and is heard only after a greeting.
type mux struct {
	ln        net.Listener
	advertise string
	self      *identity
	dialer    func(ctx context.Context, address string) (net.Conn, error)
	log       *slog.Logger
	calls     func(ctx context.Context, s stream) // serves a stream of calls

	rafts  chan net.Conn
	closed chan struct{}
	once   sync.Once
	wg     sync.WaitGroup

	mu        sync.Mutex
	pending   []net.Conn // oldest first
	open      map[net.Conn]struct{}
	strangers int
}

// stream is an accepted stream of calls.
type stream struct {
	net.Conn
	from    string
	cluster string // that it named
	self    *identity
}

// member reports whether the stream is of a node of our cluster.
func (s stream) member() bool { return s.cluster != "" && s.cluster == s.self.cluster() }

func listen(c Config, self *identity) (*mux, error) {
	ln, err := c.listen(c.Address)
	if err != nil {
		return nil, fmt.Errorf("node-to-node port: %w", err)
	}
	m := &mux{ln: ln, advertise: c.Advertise, self: self, dialer: c.dial, log: c.Log,
		rafts: make(chan net.Conn), closed: make(chan struct{}), open: map[net.Conn]struct{}{}}
	if m.advertise == "" {
		m.advertise = ln.Addr().String()
	}
	if host, _, err := net.SplitHostPort(m.advertise); err != nil || net.ParseIP(host).IsUnspecified() || host == "" {
		return nil, errors.Join(fmt.Errorf("peers cannot dial %q: set the address to advertise", m.advertise), ln.Close())
	}
	return m, nil
}

// serve accepts streams until close.
func (m *mux) serve(ctx context.Context) {
	for {
		c, err := m.ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of files, most likely: others may close some
			m.log.Warn("node-to-node port cannot accept", "error", err)
			if !pause(ctx, 100*time.Millisecond) {
				return
			}
		case m.admit(c):
			m.wg.Go(func() { m.handle(ctx, c) })
		}
	}
}

// admit makes room for one more pending stream: the one that has been silent
// for longest goes.
func (m *mux) admit(c net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.isClosed() || len(m.open) >= maxStreams {
		_ = c.Close() // refused; nothing was sent
		return false
	}
	if len(m.pending) >= maxPending {
		_ = m.pending[0].Close() // its handler ends and reports
		m.pending = m.pending[1:]
	}
	m.pending = append(m.pending, c)
	m.open[c] = struct{}{}
	return true
}

// settle moves a stream out of the pending ones.
func (m *mux) settle(c net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, p := range m.pending {
		if p == c {
			m.pending = append(m.pending[:i], m.pending[i+1:]...)
			return
		}
	}
}

func (m *mux) handle(ctx context.Context, c net.Conn) {
	kind, g, err := hear(c, m.self)
	m.settle(c)
	if err != nil {
		m.drop(c)
		m.log.Debug("stream refused", "from", c.RemoteAddr().String(), "error", err)
		return
	}
	if kind == streamRaft {
		select {
		case m.rafts <- &tracked{c, m}:
		case <-m.closed:
			m.drop(c)
		}
		return
	}
	defer m.drop(c)
	s := stream{c, g.From, g.Cluster, m.self}
	if !s.member() {
		if !m.stranger(1) {
			return
		}
		defer m.stranger(-1)
	}
	m.calls(ctx, s)
}

func (m *mux) stranger(n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n > 0 && m.strangers >= maxStrangers {
		return false
	}
	m.strangers += n
	return true
}

func (m *mux) drop(c net.Conn) {
	m.mu.Lock()
	delete(m.open, c)
	m.mu.Unlock()
	_ = c.Close() // done with it, whatever state it is in
}

// tracked is a stream that raft closes.
type tracked struct {
	net.Conn
	m *mux
}

func (t *tracked) Close() error {
	t.m.drop(t.Conn)
	return nil
}

func (m *mux) isClosed() bool {
	select {
	case <-m.closed:
		return true
	default:
		return false
	}
}

// close ends the port and every accepted stream, and waits.
func (m *mux) close() {
	m.once.Do(func() {
		close(m.closed)
		_ = m.ln.Close() // nothing to do about it
	})
	m.mu.Lock()
	for c := range m.open {
		_ = c.Close() // its handler ends
	}
	m.mu.Unlock()
	m.wg.Wait()
}

// connect dials a node and greets it. An empty id takes whoever is there.
func (m *mux) connect(ctx context.Context, kind byte, to target) (net.Conn, welcome, error) {
	c, err := m.dialer(ctx, to.address)
	if err != nil {
		return nil, welcome{}, err
	}
	me := m.self.card()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // ends the greeting
	w, err := greet(c, kind, greeting{Version: protocol, Cluster: me.Cluster, From: me.Node, To: to.id})
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, w, errors.Join(err, c.Close())
	}
	return c, w, nil
}

// target is a node and where it is dialled.
type target struct{ id, address string }

// raftLayer is the mux as raft's transport sees it. Its addresses carry the id
// of the node that is meant, so that another one there is never taken for it.
type raftLayer struct{ m *mux }

const idMark = "|" // no host holds one

func (l raftLayer) Accept() (net.Conn, error) {
	select {
	case c := <-l.m.rafts:
		return c, nil
	case <-l.m.closed:
		return nil, net.ErrClosed
	}
}

// Close is called by raft's transport at its end; the mux outlives it.
func (l raftLayer) Close() error { return nil }

func (l raftLayer) Addr() net.Addr { return advertised(l.m.advertise) }

// Dial opens a stream of raft. A node that is cut off must not keep raft
// waiting when it is back.
func (l raftLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), min(timeout, raftDial))
	defer cancel()
	id, addr, ok := strings.Cut(string(address), idMark)
	if !ok {
		return nil, fmt.Errorf("address %q names no node", address)
	}
	c, _, err := l.m.connect(ctx, streamRaft, target{id, addr})
	return c, err
}

type advertised string

func (advertised) Network() string  { return "tcp" }
func (a advertised) String() string { return string(a) }

// pause waits for d; false once ctx is done.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
