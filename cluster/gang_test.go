package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

func TestThreeNodes(t *testing.T) {
	g := newGang(t, 3, nil)
	var last vfs.Outcome
	for i := range g.nodes {
		last = g.write(i, vfs.Path(fmt.Sprintf("/m/from%d", i)), fmt.Sprint("by ", i))
		if b, err := g.read(i, vfs.Path(fmt.Sprintf("/m/from%d", i)), vfs.Level{}); err != nil || string(b) != fmt.Sprint("by ", i) {
			t.Errorf("own write at %d: %q, %v", i, b, err)
		}
	}
	for i := range g.nodes {
		for j := range g.nodes {
			for _, l := range []vfs.Level{{Linearizable: true}, {MinIndex: last.Index}} {
				if b, err := g.read(i, vfs.Path(fmt.Sprintf("/m/from%d", j)), l); err != nil || string(b) != fmt.Sprint("by ", j) {
					t.Errorf("read at %d of %d: %q, %v", i, j, b, err)
				}
			}
		}
	}
	var s Status
	poll(t, "a leader and three nodes that answer", func() bool {
		s = g.nodes[0].Status(testContext(t), false)
		return s.LeaderID == g.nodes[g.leader()].ID() && !slices.ContainsFunc(s.Nodes, func(n NodeStatus) bool { return n.State == "unreachable" })
	})
	if len(s.Nodes) != 3 || s.ClusterID == "" {
		t.Errorf("status %+v", s)
	}
	numbers := map[uint16]bool{}
	for i, n := range s.Nodes {
		if n.HTTPAddress != fmt.Sprintf("http://api%d", i+1) || n.Role != "voter" {
			t.Errorf("node %+v", n)
		}
		numbers[g.nodes[i].Number()] = true
	}
	if len(numbers) != 3 {
		t.Errorf("numbers %v", numbers)
	}
	g.sameDigest()
}

func TestLeaderStops(t *testing.T) {
	g := newGang(t, 3, nil)
	for round := range 3 {
		l := g.leader()
		g.stop(l)
		for i := range g.nodes {
			if i != l {
				g.write(i, vfs.Path(fmt.Sprintf("/m/r%d-%d", round, i)), "x")
			}
		}
		g.start(l)
		g.ready()
	}
	g.sameDigest()
}

func TestRestartAll(t *testing.T) {
	for _, log := range []string{"bolt", "pebble"} {
		t.Run(log, func(t *testing.T) {
			g := newGang(t, 3, func(_ int, c *Config) { c.LogStore = log })
			for i := range 50 {
				g.write(i%3, vfs.Path(fmt.Sprintf("/m/f%d", i)), fmt.Sprint(i))
			}
			id := g.nodes[0].self.cluster()
			g.stopAll()
			for i := range g.nodes {
				g.start(i)
			}
			g.ready()
			for i := range 50 {
				if b, err := g.read(i%3, vfs.Path(fmt.Sprintf("/m/f%d", i)), vfs.Level{Linearizable: true}); err != nil || string(b) != fmt.Sprint(i) {
					t.Fatalf("file %d: %q, %v", i, b, err)
				}
			}
			g.sameDigest()
			for _, n := range g.nodes {
				if n.self.cluster() != id {
					t.Errorf("%s is of another cluster now", n.ID())
				}
			}
		})
	}
}

func TestCutOffLeader(t *testing.T) {
	g := newGang(t, 3, func(_ int, c *Config) { c.patience = 2 * time.Second })
	old := g.leader()
	g.write(old, "/m/a", "old")
	g.wires.isolate(old, true)
	next := g.leader()
	g.write(next, "/m/a", "new")
	poll(t, "the old one to step down", func() bool { return !g.leads(old) })
	var wg sync.WaitGroup
	wg.Go(func() {
		start := time.Now()
		if b, err := g.readOnce(old, "/m/a", vfs.Level{Linearizable: true}); vfs.KindOf(err) != vfs.Unavailable {
			t.Errorf("read at the cut off leader: %q, %v", b, err)
		}
		if d := time.Since(start); d > 20*time.Second { // its patience is two
			t.Errorf("refused after %v", d)
		}
	})
	if b, err := g.read(old, "/m/a", vfs.Level{}); err != nil || string(b) != "old" {
		t.Errorf("local read there: %q, %v", b, err)
	}
	start := time.Now()
	_, err := g.nodes[old].Propose(testContext(t), writeOp("/m/b", vfs.Content{Data: []byte("x")}))
	var un *vfs.Unknown
	if vfs.KindOf(err) != vfs.Unavailable || errors.As(err, &un) {
		t.Errorf("write there: %v", err)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("refused after %v", d)
	}
	wg.Wait()
	g.wires.isolate(old, false)
	poll(t, "the leader to be known", func() bool { id, ok := g.nodes[old].leader(); return ok && id.id != g.nodes[old].ID() })
	poll(t, "a linearizable read", func() bool { // the others may choose once more
		b, err := g.read(old, "/m/a", vfs.Level{Linearizable: true})
		if err == nil && string(b) != "new" {
			t.Fatalf("after it is back: %q", b)
		}
		return err == nil
	})
	poll(t, "a write there", func() bool {
		_, err := g.nodes[old].Propose(testContext(t), writeOp("/m/c", vfs.Content{Data: []byte("back")}))
		return err == nil
	})
	g.sameDigest()
}

func TestKeepThroughFollower(t *testing.T) {
	g := newGang(t, 3, nil)
	f := (g.leader() + 1) % 3
	data := make([]byte, 20<<20+12345)
	rand.New(rand.NewSource(1)).Read(data)
	c := g.keep(f, data)
	if len(c.Refs) != 6 {
		t.Fatalf("keep: %d refs", len(c.Refs))
	}
	for _, r := range c.Refs {
		have := 0
		for _, n := range g.nodes {
			if n.blobs.Has(r.Hash) {
				have++
			}
		}
		if have < 2 {
			t.Errorf("%d nodes have a chunk", have)
		}
	}
	out := g.propose(f, writeOp("/m/big", c))
	for i := range g.nodes {
		b, err := g.read(i, "/m/big", vfs.Level{MinIndex: out.Index})
		if err != nil || !bytes.Equal(b, data) {
			t.Errorf("node %d: %d bytes, %v", i, len(b), err)
		}
	}
}

func TestFetchesWhatItLacks(t *testing.T) {
	g := newGang(t, 3, nil)
	l := g.leader()
	away := (l + 1) % 3
	g.stop(away)
	data := make([]byte, 9<<20)
	rand.New(rand.NewSource(2)).Read(data)
	c := g.keep(l, data)
	g.propose(l, writeOp("/m/big", c))
	g.start(away)
	g.ready()
	if b, err := g.read(away, "/m/big", vfs.Level{Linearizable: true}); err != nil || !bytes.Equal(b, data) {
		t.Errorf("read through: %d bytes, %v", len(b), err)
	}
	poll(t, "the chunks to be there", func() bool {
		for _, r := range c.Refs {
			if !g.nodes[away].blobs.Has(r.Hash) {
				return false
			}
		}
		return true
	})
}

func TestPacking(t *testing.T) {
	g := newGang(t, 3, nil)
	before := g.nodes[0].raft.CommitIndex()
	const clients, each = 256, 10
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range each {
				g.write(c%3, vfs.Path(fmt.Sprintf("/m/c%d", c)), fmt.Sprint(i))
			}
		})
	}
	wg.Wait()
	entries := g.nodes[0].raft.LastIndex() - before
	t.Logf("%d events in %d entries", clients*each, entries)
	if entries > clients*each/4 {
		t.Errorf("%d events took %d entries", clients*each, entries)
	}
	g.sameDigest()
}

func TestKeyedRetriesApplyOnce(t *testing.T) {
	g := newGang(t, 3, nil)
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() { // leadership moves all the time
		for range 4 {
			if n := g.nodes[g.leader()]; n.raft.LeadershipTransfer().Error() == nil {
				g.leader()
			}
		}
		stop.Store(true)
	})
	var done atomic.Int64
	g.write(0, "/m/log", "")
	for c := range 8 {
		wg.Go(func() {
			for i := 0; !stop.Load() || i < 5; i++ {
				op := vfs.Op{Verb: vfs.Write, Path: "/m/log", Off: vfs.AtEnd, Data: []byte("x")}
				r := vfs.Request{Key: fmt.Sprintf("k%d-%d", c, i), Ops: []vfs.Op{op}}
				for {
					out, err := g.nodes[(c+i)%3].Propose(context.Background(), r)
					if err == nil && out.Err != nil {
						t.Error(out.Err)
					}
					if err == nil {
						break
					}
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	b, err := g.read(0, "/m/log", vfs.Level{Linearizable: true})
	if err != nil || int64(len(b)) != done.Load() {
		t.Errorf("%d appends, %d bytes, %v", done.Load(), len(b), err)
	}
	g.sameDigest()
}

// What one node seals, every node reveals: those that formed the cluster, one
// that came later, and all of them after a restart.
func TestKeyIsShared(t *testing.T) {
	g := newGang(t, 3, func(i int, c *Config) {
		if i == 2 {
			c.NonVoter = true
		} else {
			c.Expect = 2
		}
	})
	p := vfs.Plugin{Type: "sql", Params: []vfs.Param{{Name: "dsn", Secret: true}}}
	sealed, err := g.nodes[0].secrets.Seal(p, vfs.Config{"dsn": "hunter2"})
	if err != nil || sealed["dsn"] == "hunter2" {
		t.Fatal(sealed, err)
	}
	check := func() {
		for i, n := range g.nodes {
			if c, err := n.secrets.Reveal(p, sealed); err != nil || c["dsn"] != "hunter2" {
				t.Errorf("node %d: %v, %v", i, c, err)
			}
		}
	}
	check()
	g.stopAll()
	for i := range g.nodes {
		g.start(i)
	}
	check()
}
