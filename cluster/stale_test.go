package cluster

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// A leader whose clock runs slow believes in its lease long after the others
// have chosen another. It must ask them before it answers: the past must not
// be read there. The planted lease read fails here.
func TestSlowClock(t *testing.T) {
	const slow = 2
	g := newGang(t, 3, func(i int, c *Config) {
		c.patience, c.Election = time.Second, 2*time.Second
		if i == slow { // not the first: that one begins the cluster
			c.Election = 20 * time.Second // a lease of ten
		}
	})
	g.handTo(slow)
	poll(t, "n3 leads", func() bool { return g.nodes[slow].reign.Load() != nil })
	g.write(slow, "/m/a", "old")
	g.wires.isolate(slow, true)
	poll(t, "another leads", func() bool { return g.nodes[0].reign.Load() != nil || g.nodes[1].reign.Load() != nil })
	next := 0
	if g.nodes[1].reign.Load() != nil {
		next = 1
	}
	g.write(next, "/m/a", "new")
	if g.nodes[slow].reign.Load() == nil {
		t.Fatal("the old leader has noticed: nothing is tested")
	}
	if b, err := g.read(slow, "/m/a", vfs.Level{Linearizable: true}); vfs.KindOf(err) != vfs.Unavailable {
		t.Errorf("linearizable read at a leader of the past: %q, %v", b, err)
	}
	g.wires.isolate(slow, false)
}

// valve holds back what one node dials: nothing leaves while it is shut, and
// what comes waits for the reader.
type valve struct {
	held   atomic.Int64 // reads that have waited
	mu     sync.Mutex
	closed chan struct{} // nil: open
}

func (v *valve) shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = make(chan struct{})
}

func (v *valve) release() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed != nil {
		close(v.closed)
		v.closed = nil
	}
}

func (v *valve) state() chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.closed
}

// valved is a connection behind two valves.
type valved struct {
	net.Conn
	in, out *valve
}

func (c *valved) Write(b []byte) (int, error) {
	if c.out.state() != nil {
		return len(b), nil // lost on the way
	}
	return c.Conn.Write(b)
}

func (c *valved) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if shut := c.in.state(); shut != nil && err == nil {
		c.in.held.Add(1)
		<-shut
	}
	return n, err
}

// A leader that stood still finds answers of others that were on their way
// before they chose another leader. They say nothing about a read that begins
// now.
func TestAnswersOnTheirWay(t *testing.T) {
	const slow = 2
	in, out := &valve{}, &valve{}
	g := newGang(t, 3, func(i int, c *Config) {
		c.patience, c.Election = time.Second, 2*time.Second
		if i != slow {
			return
		}
		c.Election = 20 * time.Second // a lease of ten
		dial := c.dial
		c.dial = func(ctx context.Context, address string) (net.Conn, error) {
			if out.state() != nil {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			conn, err := dial(ctx, address)
			return &valved{conn, in, out}, err
		}
	})
	g.handTo(slow)
	poll(t, "n3 leads", func() bool { return g.nodes[slow].reign.Load() != nil })
	g.write(slow, "/m/a", "old")
	t.Cleanup(in.release) // before the nodes are stopped
	g.wires.isolateFrom(slow)
	in.shut()
	poll(t, "answers wait", func() bool { return in.held.Load() > 1 })
	out.shut()
	poll(t, "another leads", func() bool { return g.nodes[0].reign.Load() != nil || g.nodes[1].reign.Load() != nil })
	next := 0
	if g.nodes[1].reign.Load() != nil {
		next = 1
	}
	g.write(next, "/m/a", "new")
	if g.nodes[slow].reign.Load() == nil {
		t.Fatal("the old leader has noticed: nothing is tested")
	}
	time.AfterFunc(50*time.Millisecond, in.release)
	if b, err := g.read(slow, "/m/a", vfs.Level{Linearizable: true}); vfs.KindOf(err) != vfs.Unavailable {
		t.Errorf("linearizable read at a leader of the past: %q, %v", b, err)
	}
	out.release()
	g.wires.isolate(slow, false)
}
