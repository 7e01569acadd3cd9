package cluster

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/plugins"
	"github.com/pfs-project/pfs/test/ports"
	"github.com/pfs-project/pfs/vfs"
)

// gang is some nodes in this process, and the wires between them.
type gang struct {
	t     testing.TB
	conf  []Config
	nodes []*Node // nil: stopped
	wires *wires
}

// wires connects the nodes; it can cut a node off.
type wires struct {
	mu    sync.Mutex
	owner map[string]int // address → node
	cut   map[int]bool
	open  map[*link]bool
}

type link struct {
	net.Conn
	a, b int
	w    *wires
}

func (c *link) Close() error {
	c.w.mu.Lock()
	delete(c.w.open, c)
	c.w.mu.Unlock()
	return c.Conn.Close()
}

func (w *wires) dialFrom(from int) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		w.mu.Lock()
		to := w.owner[addr]
		dark := from != to && (w.cut[from] || w.cut[to])
		w.mu.Unlock()
		if dark { // as a network that swallows packets
			<-ctx.Done()
			return nil, ctx.Err()
		}
		c, err := dialTCP(ctx, addr)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if from != to && (w.cut[from] || w.cut[to]) { // meanwhile
			c.Close()
			return nil, net.ErrClosed
		}
		l := &link{c, from, to, w}
		w.open[l] = true
		return l, nil
	}
}

// own says which node an address is of.
func (w *wires) own(addr string, node int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owner[addr] = node
}

func (w *wires) isCut(node int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut[node]
}

// isolate cuts a node off, or connects it again.
func (w *wires) isolate(node int, cut bool) {
	w.mu.Lock()
	w.cut[node] = cut
	var dead []*link
	for l := range w.open {
		if cut && (l.a == node) != (l.b == node) {
			dead = append(dead, l)
		}
	}
	w.mu.Unlock()
	for _, l := range dead {
		l.Close()
	}
}

// isolateFrom cuts off what others dial to a node, but not what it dials itself.
func (w *wires) isolateFrom(node int) {
	w.mu.Lock()
	w.cut[node] = true
	var dead []*link
	for l := range w.open {
		if l.b == node && l.a != node {
			dead = append(dead, l)
		}
	}
	w.mu.Unlock()
	for _, l := range dead {
		l.Close()
	}
}

// newGang starts n nodes that form a cluster, and stops them with the test.
func newGang(t testing.TB, n int, edit func(i int, c *Config)) *gang {
	t.Helper()
	g := &gang{t: t, nodes: make([]*Node, n),
		wires: &wires{owner: map[string]int{}, cut: map[int]bool{}, open: map[*link]bool{}}}
	addrs := ports.Free(t, n)
	for i := range n {
		c := Config{NodeID: fmt.Sprintf("n%d", i+1), Dir: filepath.Join(t.TempDir(), "data"), Address: addrs[i],
			HTTP: fmt.Sprintf("http://api%d", i+1), Expect: n, Plugins: plugins.Builtin(nil),
			Mounts: []fsm.FileMount{{Path: "/m", Type: "memfs"}},
			dial:   g.wires.dialFrom(i), Election: pace * 150 * time.Millisecond}
		if n > 1 {
			c.Join = addrs
		}
		if os.Getenv("PFS_TEST_LOG") != "" {
			c.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("n", i+1)
		}
		c.Fatal = func(err error) { t.Errorf("node %d: %v", i+1, err) }
		if edit != nil {
			edit(i, &c)
		}
		g.wires.own(c.Address, i)
		g.conf = append(g.conf, c)
	}
	for i := range n {
		g.start(i)
	}
	t.Cleanup(g.stopAll)
	g.ready()
	return g
}

func (g *gang) start(i int) {
	g.t.Helper()
	n, err := Start(context.Background(), g.conf[i])
	if err != nil {
		g.t.Fatal(err)
	}
	g.nodes[i] = n
}

func (g *gang) stop(i int) {
	g.t.Helper()
	n := g.nodes[i]
	if n == nil {
		return
	}
	g.nodes[i] = nil
	if err := n.Stop(context.Background()); err != nil {
		g.t.Errorf("stop %s: %v", n.ID(), err)
	}
}

func (g *gang) stopAll() {
	var wg sync.WaitGroup
	for i := range g.nodes {
		wg.Go(func() { g.stop(i) })
	}
	wg.Wait()
}

// awhile is for how long a busy machine may need for what takes a moment.
const awhile = 2 * time.Minute

// unshaken is an Election with which a leader stays though the machine stands still
// for some seconds: its lease is half of it.
const unshaken = 8 * time.Second

// poll waits until f is true.
func poll(t testing.TB, what string, f func() bool) {
	t.Helper()
	pollFor(t, awhile, what, f)
}

// insist calls f until its error is none of a node that finds no leader or is
// held up, which on a busy machine lasts longer than a call waits.
func insist(n *Node, f func() error) error {
	for until := time.Now().Add(awhile); ; time.Sleep(retryPause) {
		err := f()
		switch vfs.KindOf(err) {
		case vfs.Unavailable, vfs.Timeout, vfs.Throttled:
		default:
			return err
		}
		if n.Failed() != nil || n.removed.Load() || time.Now().After(until) {
			return err
		}
	}
}

func pollFor(t testing.TB, long time.Duration, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(long)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", long, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (g *gang) ready() {
	g.t.Helper()
	for i, n := range g.nodes {
		if n == nil {
			continue
		}
		var err error
		deadline := time.Now().Add(awhile)
		for err = n.Ready(); err != nil && time.Now().Before(deadline); err = n.Ready() {
			time.Sleep(5 * time.Millisecond)
		}
		if err != nil {
			g.t.Fatalf("node %d is not ready: %v", i+1, err)
		}
	}
}

// leader returns the index of the node that leads.
func (g *gang) leader() int {
	g.t.Helper()
	found := -1
	poll(g.t, "a leader", func() bool {
		for i, n := range g.nodes {
			if n != nil && n.rules(n.reign.Load()) && !g.wires.isCut(i) {
				found = i
			}
		}
		return found >= 0
	})
	return found
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func writeOp(path vfs.Path, c vfs.Content) vfs.Request {
	op := vfs.Op{Verb: vfs.Write, Path: path, Flag: vfs.FlagCreate | vfs.FlagTruncate, Data: c.Data, Refs: c.Refs}
	r := vfs.Request{Ops: []vfs.Op{op}, Key: randomText()} // survives a change of leaders
	if c.Upload != 0 {
		r.Ops = []vfs.Op{{Verb: vfs.Commit, File: c.Upload}, op}
	}
	return r
}

func (g *gang) write(i int, path vfs.Path, data string) vfs.Outcome {
	g.t.Helper()
	return g.propose(i, writeOp(path, vfs.Content{Data: []byte(data)}))
}

// propose has node i take a request whose key lets it be asked again.
func (g *gang) propose(i int, r vfs.Request) (out vfs.Outcome) {
	g.t.Helper()
	n := g.nodes[i]
	err := insist(n, func() (err error) {
		out, err = n.Propose(testContext(g.t), r)
		return err
	})
	if err != nil || out.Err != nil {
		g.t.Fatalf("%v %s at node %d: %v, %v", r.Ops[0].Verb, r.Ops[0].Path, i+1, err, out.Err)
	}
	return out
}

// keep has node i keep content.
func (g *gang) keep(i int, data []byte) (c vfs.Content) {
	g.t.Helper()
	n := g.nodes[i]
	err := insist(n, func() (err error) {
		c, err = n.Keep(testContext(g.t), bytes.NewReader(data), 0)
		return err
	})
	if err != nil {
		g.t.Fatalf("keep %d bytes at node %d: %v", len(data), i+1, err)
	}
	return c
}

// read reads a whole file, and asks again while the node finds no leader; another
// error is its second result.
func (g *gang) read(i int, path vfs.Path, l vfs.Level) (b []byte, err error) {
	err = insist(g.nodes[i], func() (err error) {
		b, err = g.readOnce(i, path, l)
		return err
	})
	return b, err
}

func (g *gang) readOnce(i int, path vfs.Path, l vfs.Level) ([]byte, error) {
	im, err := g.nodes[i].Image(testContext(g.t), l)
	if err != nil {
		return nil, err
	}
	defer im.Release()
	info, err := im.Table.Stat(testContext(g.t), im.View, path)
	if err != nil {
		return nil, err
	}
	b := make([]byte, info.Size)
	n, err := im.Table.ReadAt(testContext(g.t), im.View, path, b, 0)
	if n == len(b) {
		err = nil
	}
	return b[:n], err
}

// sameDigest waits until all nodes are at one index and compares them.
func (g *gang) sameDigest() {
	g.t.Helper()
	poll(g.t, "one index", func() bool {
		at := map[uint64]map[fsm.Sums]bool{}
		running := 0
		for _, n := range g.nodes {
			if n == nil {
				continue
			}
			running++
			s, err := n.Sums(testContext(g.t), 0)
			if err != nil {
				g.t.Fatal(err)
			}
			if at[s.Index] == nil {
				at[s.Index] = map[fsm.Sums]bool{}
			}
			at[s.Index][s] = true
		}
		if len(at) != 1 {
			return false
		}
		for i, digests := range at {
			if len(digests) != 1 {
				g.t.Fatalf("digests differ at index %d", i)
			}
		}
		return true
	})
}
