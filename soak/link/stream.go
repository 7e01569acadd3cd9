package link

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"sync"
	"time"
)

const (
	greetTime   = 10 * time.Second // for a dialler to say who it is
	maxGreeting = 4 << 10          // bytes
	pieceBytes  = 16 << 10
	inFlight    = 64 // pieces on a way
	dialTime    = 2 * time.Second
)

// stream is one connection that a node dialled, and the one to its target.
type stream struct {
	n           *Net
	a           net.Conn // of who dialled
	target      string
	there, back *way
	done        chan struct{}

	mu    sync.Mutex
	b     net.Conn // nil until the first byte may arrive
	ended bool
}

// piece is some bytes under way; none are the end of the stream.
type piece struct {
	due  time.Time
	data []byte
}

// carry serves one connection that was accepted in front of node.
func (n *Net) carry(c net.Conn, node, target string) {
	s := &stream{n: n, a: c, target: target, done: make(chan struct{})}
	if !n.join(s) {
		_ = c.Close() // the network is closed
		return
	}
	defer n.leave(s)
	from, head := hear(c)
	if !n.assign(s, pair{from, node}) {
		s.end(true)
		return
	}
	var wg sync.WaitGroup
	out := make(chan piece, inFlight)
	out <- piece{s.there.due(), head}
	wg.Go(func() { s.read(c, s.there, out) })
	wg.Go(func() { s.deliverThere(out, &wg) })
	wg.Wait()
	s.end(true)
}

// hear reads the greeting of a stream: who dials, and the bytes that said so.
func hear(c net.Conn) (from string, head []byte) {
	_ = c.SetReadDeadline(time.Now().Add(greetTime)) // a silent stream has no greeting
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	head = make([]byte, 3, 256)
	n, err := io.ReadFull(c, head)
	if err != nil {
		return "", head[:n]
	}
	size := int(binary.BigEndian.Uint16(head[1:]))
	if size > maxGreeting {
		return "", head
	}
	head = append(head, make([]byte, size)...)
	n, err = io.ReadFull(c, head[3:])
	var g struct {
		From string `json:"from"`
	}
	if err != nil || json.Unmarshal(head[3:], &g) != nil {
		return "", head[:3+n]
	}
	return g.From, head
}

// read takes what comes from src onto a way until it ends.
func (s *stream) read(src net.Conn, w *way, out chan<- piece) {
	defer close(out)
	for {
		b := make([]byte, pieceBytes)
		n, err := src.Read(b)
		if n > 0 {
			select {
			case out <- piece{w.due(), b[:n]}:
			case <-s.done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// deliver brings pieces to dst, and then the end of the stream. One that dst
// does not take any more is dropped: that dst is gone is told by its own way.
func (s *stream) deliver(in <-chan piece, w *way, dst func() net.Conn) {
	for p := range in {
		if !sleep(time.Until(p.due), s.done) || !w.open(s.done) || !sleep(w.toll(len(p.data)), s.done) {
			return
		}
		c := dst()
		if c == nil {
			return
		}
		_, _ = c.Write(p.data)
	}
	if w.open(s.done) {
		s.end(false)
	}
}

// deliverThere is deliver of the way to the target, which is dialled when the
// first byte may arrive there.
func (s *stream) deliverThere(in <-chan piece, wg *sync.WaitGroup) {
	var b net.Conn
	s.deliver(in, s.there, func() net.Conn {
		if b == nil {
			b = s.dial(wg)
		}
		return b
	})
}

// dial connects to the target; nil if that is not to be had.
func (s *stream) dial(wg *sync.WaitGroup) net.Conn {
	b, err := net.DialTimeout("tcp", s.target, dialTime)
	if err != nil {
		if s.back.open(s.done) { // the refusal travels, too
			s.end(true)
		}
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		_ = b.Close() // the dialler has gone meanwhile
		return nil
	}
	s.b = b
	back := make(chan piece, inFlight)
	wg.Go(func() { s.read(b, s.back, back) })
	wg.Go(func() { s.deliver(back, s.back, func() net.Conn { return s.a }) })
	return b
}

// end closes both sides; hard, so that they see a reset.
func (s *stream) end(hard bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	close(s.done)
	closeConn(s.a, hard)
	if s.b != nil {
		closeConn(s.b, hard)
	}
}

func closeConn(c net.Conn, hard bool) {
	if t, ok := c.(*net.TCPConn); ok && hard {
		_ = t.SetLinger(0) // as far as the system goes along
	}
	_ = c.Close() // nobody is left to tell
}
