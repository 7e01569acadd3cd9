package sqldbtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// Cutter stands between a server and its clients and breaks a connection when a
// transaction is about to commit.
type Cutter struct {
	to string
	l  net.Listener

	mu    sync.Mutex
	mark  []byte // in the transaction that is cut off; nil: none is
	late  bool   // the server has committed, and its answer is lost
	conns map[net.Conn]bool
}

// Cut starts a Cutter before the server that ends with the test.
func (s *Server) Cut(t testing.TB) *Cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Cutter{to: s.Socket(), l: l, conns: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return // closed
			}
			all.Go(func() { c.serve(from) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // nothing was written to it
		c.mu.Lock()
		for conn := range c.conns {
			_ = conn.Close() // as above
		}
		c.mu.Unlock()
		all.Wait()
	})
	return c
}

// Next has the next COMMIT of a transaction in which mark was sent cut off:
// before the server hears it, or late, when it has committed.
func (c *Cutter) Next(mark string, late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mark, c.late = []byte(mark), late
}

// Done reports whether the transaction of Next has been cut off.
func (c *Cutter) Done() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mark == nil
}

// Config returns settings for a database of the server, through the Cutter.
func (c *Cutter) Config(database string) vfs.Config {
	return vfs.Config{"backend": "mysql", "dsn": fmt.Sprintf("root@tcp(%s)/%s", c.l.Addr(), database)}
}

// serve passes on what one client and the server say.
func (c *Cutter) serve(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("unix", c.to)
	if err != nil {
		return // the client sees that nobody answers
	}
	defer to.Close()
	c.mu.Lock()
	c.conns[from], c.conns[to] = true, true
	c.mu.Unlock()
	back := &gate{w: from}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(back, to) // ends with either connection
		_ = from.Close()
	}()
	if late := c.forward(to, from, back); late {
		<-ended // the server has answered
	}
	_ = to.Close()
	<-ended
	c.mu.Lock()
	delete(c.conns, from)
	delete(c.conns, to)
	c.mu.Unlock()
}

// forward passes on packets of a client until it ends, or is cut off: late, when
// the server has a COMMIT whose answer is not passed on.
func (c *Cutter) forward(to io.Writer, from io.Reader, back *gate) (late bool) {
	marked := false
	for {
		p, err := packet(from)
		if err != nil {
			return false
		}
		query := ""
		if len(p) > 4 && p[4] == comQuery {
			query = strings.ToUpper(string(p[5:]))
		}
		if due := false; query == "COMMIT" && marked {
			if due, late = c.take(); due && late {
				back.shut()
				_, err = to.Write(p)
			}
			if due {
				return late && err == nil
			}
		}
		switch query {
		case "START TRANSACTION", "COMMIT", "ROLLBACK":
			marked = false
		default:
			marked = marked || c.marks(p)
		}
		if _, err := to.Write(p); err != nil {
			return false
		}
	}
}

// marks reports whether p has the mark.
func (c *Cutter) marks(p []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mark != nil && bytes.Contains(p, c.mark)
}

// take reports whether a transaction is to be cut off, and how; the next is not.
func (c *Cutter) take() (due, late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	due, c.mark = c.mark != nil, nil
	return due, c.late
}

// comQuery is COM_QUERY of the protocol, a statement as text.
const comQuery = 3

// packet reads one packet of the protocol, with its head of four bytes.
func packet(r io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32([]byte{head[0], head[1], head[2], 0})
	p := append(head, make([]byte, n)...)
	_, err := io.ReadFull(r, p[4:])
	return p, err
}

// gate passes on what the server says until it is shut.
type gate struct {
	w      io.Writer
	closed atomic.Bool
}

func (g *gate) shut() { g.closed.Store(true) }

// Write passes b on.
func (g *gate) Write(b []byte) (int, error) {
	if g.closed.Load() {
		return 0, io.ErrClosedPipe
	}
	return g.w.Write(b)
}
