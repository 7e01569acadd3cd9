package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/certs"
)

// mux is the node-to-node port. A stream says in its first byte whether it
// carries raft or calls, and is heard only after a greeting, under TLS if the
// node has certificates.
type mux struct {
	ln        net.Listener
	advertise string
	self      *identity
	trust     *trust // nil: plain TCP
	dialer    func(ctx context.Context, address string) (net.Conn, error)
	log       *slog.Logger
	refused   *refusals
	roster    *roster                             // who is a member
	calls     func(ctx context.Context, s stream) // serves a stream of calls
	rafts     func(ctx context.Context, s stream) // serves a stream of raft

	closed chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
	hall   hall
}

// stream is an accepted stream that has greeted.
type stream struct {
	net.Conn
	from    string
	cluster string // that it named
	self    *identity
}

// kin reports whether the stream is of a node that names our cluster.
func (s stream) kin() bool { return s.cluster != "" && s.cluster == s.self.cluster() }

func listen(c Config, self *identity) (*mux, error) {
	ln, err := c.listen(c.Address)
	if err != nil {
		return nil, fmt.Errorf("node-to-node port: %w", err)
	}
	m := &mux{ln: ln, advertise: c.Advertise, self: self, dialer: c.dial, log: c.Log, closed: make(chan struct{})}
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
		default:
			if v := m.admit(c); v != nil {
				m.wg.Go(func() { m.handle(ctx, v) })
			}
		}
	}
}

// admit lets a stream in, if there is room.
func (m *mux) admit(c net.Conn) *visitor {
	v := &visitor{Conn: c}
	v.host, _, _ = net.SplitHostPort(c.RemoteAddr().String()) // all are of one host, if that makes no sense
	if m.isClosed() {
		_ = c.Close() // nothing was sent
		return nil
	}
	if !m.hall.enter(v) {
		_ = c.Close() // nothing was sent
		m.refused.add(becauseFull, c.RemoteAddr(), "", errors.New("too many streams"))
		return nil
	}
	if m.isClosed() { // meanwhile: close has not seen it
		_ = c.Close()
	}
	return v
}

func (m *mux) handle(ctx context.Context, v *visitor) {
	defer m.hall.leave(v)
	s, kind, err := m.meet(ctx, v)
	if err != nil {
		if !m.isClosed() {
			m.refused.add(m.blame(v, err), v.RemoteAddr(), s.from, err)
		}
		return
	}
	standing, _ := m.roster.known(s.from)
	if !m.hall.seat(v, s.from, s.kin() && standing != outsider) {
		m.refused.add(becauseFull, v.RemoteAddr(), s.from, errors.New("too many streams of one node"))
		return
	}
	if kind == streamRaft {
		m.rafts(ctx, s)
	} else {
		m.calls(ctx, s)
	}
	if m.hall.crowded(v) {
		m.refused.add(becauseCrowded, v.RemoteAddr(), s.from, errors.New("too many strangers"))
	}
}

// meet does all that comes before a stream is heard.
func (m *mux) meet(ctx context.Context, v *visitor) (s stream, kind byte, err error) {
	if err := v.SetDeadline(time.Now().Add(greetTime)); err != nil {
		return s, 0, err
	}
	b, err := peek(v.Conn)
	if err != nil {
		return s, 0, err
	}
	var shown string
	s = stream{Conn: b, self: m.self}
	switch first := b.first[0]; {
	case first == tlsRecord && m.trust == nil:
		return s, 0, &refusedError{becauseTLS, "the other side speaks TLS, and this node has no certificates"}
	case first == tlsRecord:
		m.hall.heard(v)
		if s.Conn, shown, err = m.trust.accept(ctx, b); err != nil {
			return s, 0, err
		}
	case first != streamRaft && first != streamCall:
		return s, 0, &refusedError{becauseAlien, fmt.Sprintf("not a stream of a node: it begins with %q", first)}
	case m.trust != nil:
		err := &refusedError{becausePlain, "this node speaks TLS only, and the other side does not: set its cluster.tls_ca, tls_cert and tls_key"}
		_ = writeShort(b, nil, welcome{Refused: err.text}) // it may be gone
		return s, 0, err
	default:
		m.hall.heard(v)
	}
	kind, g, err := hear(ctx, s.Conn, m, shown)
	s.from, s.cluster = g.From, g.Cluster
	return s, kind, err
}

// blame finds the reason of an error of meet.
func (m *mux) blame(v *visitor, err error) string {
	var peer *peerError
	switch {
	case m.hall.crowded(v):
		return becauseCrowded
	case errors.As(err, &peer) && errors.Is(err, certs.ErrNoNode):
		return becauseNoNode
	case errors.As(err, &peer):
		return becauseCertificate
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return because(err, becauseSilent)
	case m.trust != nil:
		return because(err, becauseHandshake)
	}
	return because(err, becauseSilent)
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
	m.hall.clear()
	m.wg.Wait()
}

// connect dials a node and greets it. An empty id takes whoever is there.
func (m *mux) connect(ctx context.Context, kind byte, to target) (net.Conn, welcome, error) {
	raw, err := m.dialer(ctx, to.address)
	if err != nil {
		return nil, welcome{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() }) // ends the greeting
	c, w, err := m.introduce(ctx, raw, kind, to)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if telling(err) {
			m.refused.add(becauseDialled, raw.RemoteAddr(), to.id, err)
		}
		return nil, w, errors.Join(err, raw.Close())
	}
	return c, w, nil
}

func (m *mux) introduce(ctx context.Context, c net.Conn, kind byte, to target) (net.Conn, welcome, error) {
	var (
		shown string
		err   error
	)
	if m.trust != nil {
		if c, shown, err = m.trust.dial(ctx, c); err != nil {
			return nil, welcome{}, err
		}
		if to.id != "" && shown != to.id {
			return nil, welcome{}, &peerError{fmt.Errorf("%s shows the certificate of node %s, not %s", to.address, shown, to.id)}
		}
	}
	me := m.self.card()
	w, err := greet(c, kind, greeting{Version: protocol, Cluster: me.Cluster, From: me.Node, To: to.id}, shown)
	return c, w, err
}

// telling reports whether an error is about who the other side is, or what it
// thinks of this one's certificate: such do not pass by themselves.
func telling(err error) bool {
	var (
		peer *peerError
		op   *net.OpError
		head tls.RecordHeaderError
	)
	return errors.As(err, &peer) || errors.As(err, &head) || errors.As(err, &op) && op.Op == "remote error"
}

// target is a node and where it is dialled.
type target struct{ id, address string }

// raftLayer is the mux as raft's transport sees it. Its addresses carry the id
// of the node that is meant, so that another one there is never taken for it.
type raftLayer struct {
	m     *mux
	muted *atomic.Bool
}

const idMark = "|" // no host holds one

// Accept waits for the end: what is accepted has transports of its own.
func (l raftLayer) Accept() (net.Conn, error) {
	<-l.m.closed
	return nil, net.ErrClosed
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
	if err != nil {
		return nil, err
	}
	return &steady{Conn: mutable{c, l.muted}}, nil
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
