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
	for try := 1; ; try++ {
		g.handTo(slow)
		poll(t, "n3 leads", func() bool { return g.leads(slow) })
		g.write(slow, "/m/a", "old")
		g.wires.isolate(slow, true)
		g.overtake(slow)
		noticed := !g.leads(slow)
		b, err := g.readOnce(slow, "/m/a", vfs.Level{Linearizable: true})
		if vfs.KindOf(err) != vfs.Unavailable {
			t.Errorf("linearizable read at a leader of the past: %q, %v", b, err)
		}
		g.wires.isolate(slow, false)
		if !noticed {
			return
		}
		tooLate(t, try)
	}
}

// overtake waits until another node than slow leads, and has it write.
func (g *gang) overtake(slow int) {
	g.t.Helper()
	poll(g.t, "another leads", func() bool { return g.leads(0) || g.leads(1) })
	next := 0
	if g.leads(1) {
		next = 1
	}
	g.write(next, "/m/a", "new")
}

// tooLate ends a test in which the old leader has noticed before it was asked, so
// that nothing is tested, too often: on a busy machine the others may take long.
func tooLate(t *testing.T, try int) {
	t.Helper()
	if t.Logf("try %d: the old leader has noticed", try); try == 5 {
		t.Fatal("the old leader has always noticed: nothing is tested")
	}
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
	t.Cleanup(in.release) // before the nodes are stopped
	for try := 1; ; try++ {
		g.handTo(slow)
		poll(t, "n3 leads", func() bool { return g.leads(slow) })
		g.write(slow, "/m/a", "old")
		g.wires.isolateFrom(slow)
		held := in.held.Load()
		in.shut()
		poll(t, "answers wait", func() bool { return in.held.Load() > held+1 || !g.leads(slow) })
		out.shut()
		g.overtake(slow)
		noticed := !g.leads(slow)
		later := time.AfterFunc(50*time.Millisecond, in.release)
		b, err := g.readOnce(slow, "/m/a", vfs.Level{Linearizable: true})
		if vfs.KindOf(err) != vfs.Unavailable {
			t.Errorf("linearizable read at a leader of the past: %q, %v", b, err)
		}
		later.Stop()
		in.release()
		out.release()
		g.wires.isolate(slow, false)
		if !noticed {
			return
		}
		tooLate(t, try)
	}
}
