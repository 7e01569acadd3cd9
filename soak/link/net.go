package link

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Rule says what becomes of the bytes on one way. The zero Rule lets all pass.
type Rule struct {
	// Cut holds bytes back, and the end of streams too, until it is lifted: as
	// a network that swallows packets, which are sent again.
	Cut bool
	// Reset ends the streams that use the way at once, and every new one.
	Reset bool
	// Delay and up to Jitter more pass before a byte arrives.
	Delay, Jitter time.Duration
	// Rate bounds the bytes a second of each stream; 0: any.
	Rate int
}

// pair is two nodes, in one direction.
type pair struct{ from, to string }

// Net is the network between the nodes. Its methods are safe for concurrent use.
type Net struct {
	mu      sync.Mutex
	ways    map[pair]*way
	streams map[*stream]struct{}
	fronts  []net.Listener
	closed  bool
	wg      sync.WaitGroup
}

// New returns a network in which all bytes pass.
func New() *Net {
	return &Net{ways: map[pair]*way{}, streams: map[*stream]struct{}{}}
}

// Front starts the proxy in front of a node and returns the address that others
// are to dial in the place of target, which need not listen yet.
func (n *Net) Front(node, target string) (address string, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("proxy of %s: %w", node, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return "", errors.Join(net.ErrClosed, ln.Close())
	}
	n.fronts = append(n.fronts, ln)
	n.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			n.wg.Go(func() { n.carry(c, node, target) })
		}
	})
	return ln.Addr().String(), nil
}

// Set gives a way its rule.
func (n *Net) Set(from, to string, r Rule) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.way(pair{from, to})
	w.set(r)
	for s := range n.streams {
		if r.Reset && (s.there == w || s.back == w) {
			s.end(true)
		}
	}
}

// Both gives both ways between two nodes a rule.
func (n *Net) Both(a, b string, r Rule) {
	n.Set(a, b, r)
	n.Set(b, a, r)
}

// Heal lets everything pass again.
func (n *Net) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.ways {
		w.set(Rule{})
	}
}

// Close ends all proxies and streams, and waits for them.
func (n *Net) Close() {
	n.mu.Lock()
	n.closed = true
	for _, ln := range n.fronts {
		_ = ln.Close() // its accept loop ends
	}
	for s := range n.streams {
		s.end(true)
	}
	n.mu.Unlock()
	n.wg.Wait()
}

// way returns the way k; mu is held.
func (n *Net) way(k pair) *way {
	w := n.ways[k]
	if w == nil {
		w = &way{changed: make(chan struct{})}
		n.ways[k] = w
	}
	return w
}

// join notes a stream; false once the network is closed.
func (n *Net) join(s *stream) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.streams[s] = struct{}{}
	return true
}

// assign puts a stream on its ways; false if one of them resets it.
func (n *Net) assign(s *stream, there pair) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	s.there, s.back = n.way(there), n.way(pair{there.to, there.from})
	a, _ := s.there.now()
	b, _ := s.back.now()
	return !a.Reset && !b.Reset
}

func (n *Net) leave(s *stream) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.streams, s)
}
