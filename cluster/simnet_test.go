package cluster

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	simAlive  = 8 * time.Second // until a keepalive gives a silent stream up
	simSyn    = time.Second     // between two tries to connect
	simBuffer = 4 << 20         // bytes under way in one direction
)

// route is one direction between two nodes.
type route struct{ from, to int }

// simNet is a network in memory. What is sent on a blocked route waits, as TCP
// would send it again, and arrives if the route is free soon enough; otherwise
// the stream ends as that of a real machine would.
type simNet struct {
	nodes map[string]int // by address

	mu      sync.Mutex
	ports   map[string]*simPort
	off     map[int]bool // machines without power
	blocked map[route]uint64
	delay   map[route]time.Duration
	usual   time.Duration
	ends    map[*simEnd]struct{}
	blocks  uint64
}

func newSimNet() *simNet {
	return &simNet{nodes: map[string]int{}, ports: map[string]*simPort{}, off: map[int]bool{}, blocked: map[route]uint64{},
		delay: map[route]time.Duration{}, usual: 300 * time.Microsecond, ends: map[*simEnd]struct{}{}}
}

// simPort is a listener.
type simPort struct {
	net  *simNet
	node int
	addr string
	in   chan *simEnd
	done chan struct{}
	once sync.Once
}

func (s *simNet) listen(node int) func(string) (net.Listener, error) {
	return func(addr string) (net.Listener, error) {
		p := &simPort{net: s, node: node, addr: addr, in: make(chan *simEnd, 64), done: make(chan struct{})}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ports[addr] = p
		return p, nil
	}
}

func (p *simPort) Accept() (net.Conn, error) {
	select {
	case e := <-p.in:
		return e, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *simPort) Close() error {
	p.once.Do(func() {
		close(p.done)
		p.net.mu.Lock()
		defer p.net.mu.Unlock()
		if p.net.ports[p.addr] == p {
			delete(p.net.ports, p.addr)
		}
	})
	return nil
}

func (p *simPort) Addr() net.Addr { return simAddr(p.node) }

// name says whose an address is.
func (s *simNet) name(addr string, node int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[addr] = node
}

// open reports whether r lets anything through. The caller holds mu.
func (s *simNet) open(r route) bool {
	return s.blocked[r] == 0 && !s.off[r.from] && !s.off[r.to]
}

// dial connects a node with the one that has an address. Without an answer it
// asks again until ctx is done.
func (s *simNet) dial(ctx context.Context, from int, addr string) (net.Conn, error) {
	for {
		s.mu.Lock()
		to, p := s.nodes[addr], s.ports[addr]
		reached := s.open(route{from, to}) && s.open(route{to, from})
		if reached && p != nil {
			e := s.join(from, to)
			s.mu.Unlock()
			select {
			case p.in <- e.other:
				return e, nil
			case <-p.done:
			case <-ctx.Done():
			}
			e.fail(syscall.ECONNREFUSED)
			e.other.fail(syscall.ECONNREFUSED)
			return nil, syscall.ECONNREFUSED
		}
		s.mu.Unlock()
		if reached {
			return nil, syscall.ECONNREFUSED
		}
		if !pause(ctx, simSyn) {
			return nil, ctx.Err()
		}
	}
}

func (s *simNet) join(from, to int) *simEnd {
	a := &simEnd{net: s, route: route{to, from}, wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	b := &simEnd{net: s, route: route{from, to}, wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	a.other, b.other = b, a
	s.ends[a], s.ends[b] = struct{}{}, struct{}{}
	return a
}

// block stops a route, or lets it go on.
func (s *simNet) block(r route, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on == (s.blocked[r] != 0) {
		return
	}
	if !on {
		delete(s.blocked, r)
		for e := range s.ends {
			if e.route == r {
				e.release()
			}
		}
		return
	}
	s.blocks++
	epoch := s.blocks
	s.blocked[r] = epoch
	for e := range s.ends {
		if e.route == r {
			e.hold()
		}
	}
	time.AfterFunc(simAlive, func() { // no keepalive gets through
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.blocked[r] != epoch {
			return
		}
		for e := range s.ends {
			if e.route == r || e.route == (route{r.to, r.from}) {
				e.failLocked(syscall.ETIMEDOUT)
			}
		}
	})
}

// slow sets how long a route takes; 0 for as long as usual.
func (s *simNet) slow(r route, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay[r] = d
}

// power turns a machine off, with all its streams, or on again. A machine that
// was only killed tells its peers at once.
func (s *simNet) power(node int, on, kill bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off[node] = !on
	if on {
		return
	}
	for addr, p := range s.ports {
		if p.node == node {
			delete(s.ports, addr)
		}
	}
	for e := range s.ends {
		if e.route.to != node {
			continue
		}
		e.failLocked(net.ErrClosed)
		if other := e.other; kill && s.blocked[other.route] == 0 {
			other.failLocked(syscall.ECONNRESET)
		} else {
			time.AfterFunc(simAlive, func() { other.fail(syscall.ETIMEDOUT) })
		}
	}
	if kill {
		s.off[node] = false
	}
}

// packet is what one Write sent; nil bytes are the end of the stream.
type packet struct {
	b    []byte
	due  time.Time
	held bool
}

// simEnd is one side of a stream: route leads to it. The network's mu guards
// all of it.
type simEnd struct {
	net        *simNet
	route      route
	other      *simEnd
	in         []packet // under way to here, or arrived
	size       int
	last       time.Time // when the newest of them is due
	err        error     // of every read and write from now on
	wake, room chan struct{}
	readBy     time.Time
	writeBy    time.Time
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (e *simEnd) fail(err error) {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	e.failLocked(err)
}

func (e *simEnd) failLocked(err error) {
	if e.err == nil {
		e.err = err
		delete(e.net.ends, e)
	}
	poke(e.wake)
	poke(e.room)
	poke(e.other.room)
}

// hold stops what is under way to this end.
func (e *simEnd) hold() {
	now := time.Now()
	for i := range e.in {
		if e.in[i].due.After(now) {
			e.in[i].held = true
			e.stuck()
		}
	}
}

// stuck has the sender give up if what it sent is not through in time.
func (e *simEnd) stuck() {
	time.AfterFunc(ackTime, func() {
		e.net.mu.Lock()
		defer e.net.mu.Unlock()
		for _, p := range e.in {
			if p.held {
				e.other.failLocked(syscall.ETIMEDOUT)
				return
			}
		}
	})
}

// release sends what was held.
func (e *simEnd) release() {
	for i := range e.in {
		if e.in[i].held {
			e.in[i].held, e.in[i].due = false, e.due()
		}
	}
	if e.other.err != nil && e.other.err != net.ErrClosed {
		e.failLocked(syscall.ECONNRESET)
	}
	poke(e.wake)
}

func (e *simEnd) due() time.Time {
	d := e.net.delay[e.route]
	if d == 0 {
		d = e.net.usual
	}
	if due := time.Now().Add(d); due.After(e.last) {
		e.last = due
	}
	return e.last
}

// send puts a packet on its way to the other end.
func (e *simEnd) send(b []byte) {
	o := e.other
	p := packet{b: b, held: o.net.blocked[o.route] != 0}
	if !p.held {
		p.due = o.due()
	}
	first := p.held && (len(o.in) == 0 || !o.in[len(o.in)-1].held)
	o.in = append(o.in, p)
	o.size += len(b)
	poke(o.wake)
	if first {
		o.stuck()
	}
}

// Write copies b.
func (e *simEnd) Write(b []byte) (int, error) {
	for {
		e.net.mu.Lock()
		err, wait, by := e.err, false, e.writeBy
		switch {
		case err != nil || len(b) == 0:
		case !by.IsZero() && !time.Now().Before(by):
			err = os.ErrDeadlineExceeded
		case e.other.err != nil && e.net.open(e.other.route) && e.net.open(e.route):
			err = syscall.ECONNRESET
			e.failLocked(err)
		case e.other.err != nil: // nobody acknowledges this
			time.AfterFunc(ackTime, func() { e.fail(syscall.ETIMEDOUT) })
		case e.other.size >= simBuffer:
			wait = true
		default:
			e.send(append(make([]byte, 0, len(b)), b...))
		}
		e.net.mu.Unlock()
		if err != nil {
			return 0, err
		}
		if !wait {
			return len(b), nil
		}
		sleep(e.room, by)
	}
}

// sleep waits for a sign, or until a time unless that is zero.
func sleep(sign <-chan struct{}, until time.Time) {
	if until.IsZero() {
		<-sign
		return
	}
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-sign:
	case <-t.C:
	}
}

func (e *simEnd) Read(b []byte) (int, error) {
	for {
		e.net.mu.Lock()
		now, until := time.Now(), e.readBy
		switch {
		case len(e.in) > 0 && !e.in[0].held && !e.in[0].due.After(now):
			n, err := e.take(b)
			e.net.mu.Unlock()
			return n, err
		case e.err != nil:
			err := e.err
			e.net.mu.Unlock()
			return 0, err
		case !until.IsZero() && !now.Before(until):
			e.net.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(e.in) > 0 && !e.in[0].held && (until.IsZero() || e.in[0].due.Before(until)):
			until = e.in[0].due
		}
		e.net.mu.Unlock()
		sleep(e.wake, until)
	}
}

func (e *simEnd) take(b []byte) (int, error) {
	if e.in[0].b == nil {
		return 0, io.EOF
	}
	if e.err == net.ErrClosed {
		return 0, e.err
	}
	n := copy(b, e.in[0].b)
	if e.in[0].b = e.in[0].b[n:]; len(e.in[0].b) == 0 {
		e.in = e.in[1:]
	}
	e.size -= n
	poke(e.other.room)
	return n, nil
}

func (e *simEnd) Close() error {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	if e.err == nil {
		e.send(nil)
		e.failLocked(net.ErrClosed)
	}
	return nil
}

func (e *simEnd) LocalAddr() net.Addr  { return simAddr(e.route.to) }
func (e *simEnd) RemoteAddr() net.Addr { return simAddr(e.route.from) }

func simAddr(node int) net.Addr {
	return &net.TCPAddr{IP: net.IPv4(10, 0, 0, byte(node+1)), Port: 7000}
}

func (e *simEnd) SetDeadline(t time.Time) error {
	return e.set(func() { e.readBy, e.writeBy = t, t })
}
func (e *simEnd) SetReadDeadline(t time.Time) error  { return e.set(func() { e.readBy = t }) }
func (e *simEnd) SetWriteDeadline(t time.Time) error { return e.set(func() { e.writeBy = t }) }

func (e *simEnd) set(f func()) error {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	f()
	poke(e.wake)
	poke(e.room)
	return nil
}
