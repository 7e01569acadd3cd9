package cluster

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// only is what all instances of a plugin share that must have one at a time.
type only struct {
	t testing.TB

	mu     sync.Mutex
	runs   *single // nil: none
	starts int
}

// single is one of them.
type single struct {
	o    *only
	node string
}

func (s *single) Start(context.Context) error {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	if s.o.runs != nil {
		s.o.t.Errorf("it starts on %s while it runs on %s", s.node, s.o.runs.node)
	}
	s.o.runs = s
	s.o.starts++
	return nil
}

func (s *single) Close() error {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	if s.o.runs == s {
		s.o.runs = nil
	}
	return nil
}

func (s *single) Stat(context.Context, vfs.View, vfs.Path) (vfs.Info, error) {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	if s.o.runs != s {
		s.o.t.Errorf("one on %s is called that does not run", s.node)
	}
	return vfs.Info{Name: "/", Mode: vfs.ModeDir | 0o555}, nil
}

func (s *single) List(context.Context, vfs.View, vfs.Path, string, int) ([]vfs.Info, error) {
	return nil, nil
}

func (s *single) ReadAt(context.Context, vfs.View, vfs.Path, []byte, int64) (int, error) {
	return 0, vfs.IsDirectory
}

func (s *single) Do(context.Context, vfs.Op) (vfs.Result, error) {
	return vfs.Result{}, vfs.Unsupported
}

// runIn has a node run the plugin of o.
func (o *only) runIn(c *Config) {
	c.Runs = func() []string { return []string{"wasm"} }
	c.Library = func(lib vfs.Library) vfs.Plugin {
		return vfs.Plugin{Type: lib.Name, Place: func(vfs.Config) (vfs.Placement, error) { return vfs.Pinned, nil },
			New: func(e vfs.Env, _ vfs.Config) (vfs.FileSystem, error) { return &single{o, e.Node}, nil }}
	}
}

// mount loads the plugin of o and mounts it at /only, on a node first.
func (o *only) mount(g *gang, node string) {
	lib := vfs.Library{Name: "only", Kind: "wasm", Sum: strings.Repeat("ab", 32), Size: 1, Source: "test", Place: vfs.Pinned}
	mount := vfs.Op{Verb: vfs.Mount, Path: "/only", Data: fsm.EncodeMount(fsm.MountSpec{Type: "only", Node: node, Roams: true})}
	poll(o.t, "the feature level", func() bool { return g.nodes[0].level() >= fsm.PlacementLevel })
	for _, op := range []vfs.Op{fsm.LoadOp(lib, []byte{1}, nil), mount} {
		g.propose(0, vfs.Request{Key: randomText(), Ops: []vfs.Op{op}})
	}
}

// on is the node where it runs; "" if it does nowhere.
func (o *only) on() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.runs == nil {
		return ""
	}
	return o.runs.node
}

// A mount moves from a node that is cut off to one that runs its kind of plugin,
// back when that one is, and never runs twice at a time.
func TestFailover(t *testing.T) {
	t.Parallel()
	o := &only{t: t}
	g := newGang(t, 3, func(i int, c *Config) {
		c.hold = time.Second
		c.Election = time.Second // each new leader waits anew before it moves something
		if i < 2 {               // the third runs no plugins
			o.runIn(c)
		}
	})
	o.mount(g, "n1")
	runsOn := func(node string) func() bool { return func() bool { return o.on() == node } }
	over := make(chan struct{})
	var callers sync.WaitGroup
	for _, n := range g.nodes[:2] {
		callers.Go(func() { // calls what it has itself
			for {
				select {
				case <-over:
					return
				case <-time.After(time.Millisecond):
				}
				for _, m := range n.machine.Mounts() {
					if m.Path == "/only" && m.Node == n.id && m.FS != nil {
						_, _ = m.FS.Stat(context.Background(), nil, vfs.Root)
					}
				}
			}
		})
	}
	poll(t, "the mount on node 1", runsOn("n1"))
	for from, to := range []string{"n2", "n1"} {
		g.wires.isolate(from, true)
		poll(t, "the mount on "+to, runsOn(to))
		g.wires.isolate(from, false)
		poll(t, "that all know", func() bool {
			for _, n := range g.nodes {
				for _, m := range n.machine.Mounts() {
					if m.Path == "/only" && m.Node != to {
						return false
					}
				}
			}
			return true
		})
	}
	g.wires.isolate(0, true)                                             // and back before anybody has moved it
	poll(t, "that it has ended", func() bool { return !runsOn("n1")() }) // it may be elsewhere by the time of the look
	g.wires.isolate(0, false)
	poll(t, "the mount again", func() bool { return runsOn("n1")() || runsOn("n2")() })
	close(over)
	callers.Wait()
	g.sameDigest()
}

// What a node heard before it led, or before it was stopped for long, has nothing
// moved: only members that are silent while it listens are away.
func TestNewLeaderWaits(t *testing.T) {
	t.Parallel()
	n := &Node{}
	n.c.hold, n.c.Election = time.Minute, time.Second // long: this test may be stopped itself
	n.contacts.of = map[string]contact{"n2": {heard: time.Now().Add(-time.Hour), lost: true}}
	c, long := newClockwork(n), n.moveAfter()
	if s := c.mover.silent(n.contacts.since("n2")); s > long/2 {
		t.Errorf("a new leader takes a member as away for %v", s)
	}
	c.mover.began = time.Now().Add(-2 * long)
	if s := c.mover.silent(n.contacts.since("n2")); s <= long {
		t.Errorf("one that has led for long takes it as away for %v", s)
	}
	c.mover.turn(n.holdTime())
	if s := c.mover.silent(n.contacts.since("n2")); s <= long {
		t.Errorf("its first turn makes that %v", s)
	}
	c.mover.turned = time.Now().Add(-time.Hour)
	c.mover.turn(n.holdTime())
	if s := c.mover.silent(n.contacts.since("n2")); s > long/2 {
		t.Errorf("one that was stopped takes a member as away for %v", s)
	}
}

// A node that was stopped for long holds nothing, whatever its heartbeats and its
// own leadership say, until it has looked and has caught up.
func TestFrozenNode(t *testing.T) {
	t.Parallel()
	g := newGang(t, 3, func(_ int, c *Config) { c.hold = time.Minute })
	for i, n := range g.nodes {
		poll(t, "that it holds", n.Holds)
		long := time.Now().Add(-2 * n.holdTime())
		for j := range 50 { // the other goroutine looks in between
			n.looked.Store(&long)
			held := n.Holds()
			if at := n.looked.Load(); held && at == &long {
				t.Fatalf("node %d holds what it had an hour ago (%d)", i+1, j)
			}
		}
		poll(t, "that it holds again", n.Holds)
	}
	if slack := contactEvery + stateTime + holdLook + endTime; g.nodes[0].moveAfter() <= g.nodes[0].holdTime()+slack {
		t.Errorf("mounts are moved after %v: they may run for %v", g.nodes[0].moveAfter(), g.nodes[0].holdTime()+slack)
	}
}
