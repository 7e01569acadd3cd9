package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// figure reads a counter.
func (g *gang) figure(c prometheus.Metric) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		g.t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// taken returns how many snapshots the leaders of a gang have sent with success.
func (g *gang) taken() (count float64) {
	for _, n := range g.nodes {
		if n != nil {
			count += g.figure(n.metrics.sends.WithLabelValues("taken"))
		}
	}
	return count
}

// contradict has one node hold entries that were never committed, where the
// others have a snapshot and no log: the snapshot ends where that node's log
// does, or so many entries before. It returns that node, cut off.
func contradict(t *testing.T, store string, before uint64, noForget bool) (*gang, int) {
	for range 20 {
		if g, old, ok := tryContradict(t, store, before, noForget); ok {
			return g, old
		}
	}
	t.Fatal("there was always an entry too many")
	return nil, 0
}

// tryContradict fails if nodes tell the log something about themselves in the
// wrong moment.
func tryContradict(t *testing.T, store string, before uint64, noForget bool) (_ *gang, _ int, ok bool) {
	g := newGang(t, 3, func(_ int, c *Config) {
		c.LogStore, c.trailing, c.noForget = store, 1, noForget
		c.Election = pace * time.Second // its half is all the time that the node has for the entries
	})
	g.write(0, "/m/a", "before")
	g.sameDigest()
	old := g.leader()
	n := g.nodes[old]
	g.wires.isolate(old, true)
	from := n.raft.LastIndex()
	entry := wire.AppendBatch(nil, []vfs.Event{{Time: time.Now(), Request: vfs.Request{Ops: []vfs.Op{{Verb: vfs.Mkdir, Path: "/m/never"}}}}})
	for range 40 {
		n.raft.Apply(entry, 0) // nobody hears of it
	}
	poll(t, "the node to give up", func() bool { return n.raft.State() != raft.Leader })
	end := n.raft.LastIndex() - before
	if end < from+15 {
		t.Logf("only %d entries before it stepped down", n.raft.LastIndex()-from)
		g.stopAll()
		return nil, 0, false
	}
	lead := g.leader()
	for k := 0; g.nodes[lead].raft.LastIndex() < end; k++ {
		g.write(lead, vfs.Path(fmt.Sprintf("/m/b%d", k)), "after")
	}
	for i, other := range g.nodes {
		if i == old {
			continue
		}
		poll(t, "the others to be alike", func() bool { return other.machine.Applied() == g.nodes[lead].machine.Applied() })
		if err := other.Snapshot(testContext(t)); err != nil {
			t.Fatal(err)
		}
		if s := other.machine.Applied(); s != end {
			t.Logf("the snapshot is of %d, and not of %d", s, end)
			return nil, 0, false
		}
	}
	return g, old, true
}

// TestEndlessInstall has a follower whose log contradicts the snapshot that it
// is sent: it forgets those entries and goes on. Without that it would be sent
// snapshots for ever, if the last entries of the two are at the same index, and
// the leader warns of it.
func TestEndlessInstall(t *testing.T) {
	for _, store := range []string{"bolt", "pebble"} {
		for before, name := range []string{"same end", "longer log"} {
			t.Run(store+" "+name, func(t *testing.T) {
				g, old := contradict(t, store, uint64(before)*5, false)
				g.wires.isolate(old, false)
				g.goesOn(old)
				g.stop(old)
				g.start(old)
				g.ready()
				g.sameDigest()
			})
		}
		t.Run(store+" without it", func(t *testing.T) {
			for range 5 {
				g, old := contradict(t, store, 0, true)
				g.wires.isolate(old, false)
				if g.loops(old) {
					return
				}
			}
			t.Error("snapshots have an end")
		})
	}
}

// loops reports whether a node is sent one snapshot after another; a leader may
// happen to tell it more first.
func (g *gang) loops(i int) bool {
	for until := time.Now().Add(30 * time.Second); g.taken() <= 5; time.Sleep(retryPause) {
		if time.Now().After(until) {
			return false
		}
	}
	lead, n := g.nodes[g.leader()], 0.0
	for _, other := range g.nodes { // whoever has led
		n += g.figure(other.metrics.repeats)
	}
	if n < 3 {
		g.t.Errorf("%v repeats are told", n)
	}
	if at := g.nodes[i].raft.AppliedIndex(); g.nodes[i].Ready() == nil && lead.raft.LastIndex() > at+1 {
		g.t.Error("it is ready")
	}
	return true
}

// goesOn demands that a node has caught up without many snapshots, and that
// nothing is left of what was never committed.
func (g *gang) goesOn(i int) {
	g.ready()
	g.sameDigest()
	if n := g.taken(); n > 2 {
		g.t.Errorf("it took %v snapshots", n)
	}
	g.write(i, "/m/c", "and on")
	if _, err := g.read(i, "/m/never", vfs.Level{Linearizable: true}); vfs.KindOf(err) != vfs.NotFound {
		g.t.Errorf("what was never committed: %v", err)
	}
}

// spoiltLine is a stream between nodes, of which one byte may be flipped.
type spoiltLine struct {
	net.Conn
	spoil *atomic.Int32 // how many streams are to be spoilt
	sent  int
	once  sync.Once
}

func (s *spoiltLine) Write(b []byte) (int, error) {
	s.sent += len(b)
	if s.sent > 200<<10 { // only a snapshot is as long
		s.once.Do(func() {
			if s.spoil.Add(-1) >= 0 {
				b = bytes.Clone(b)
				b[len(b)/2] ^= 1
			}
		})
	}
	return s.Conn.Write(b)
}

// behind starts three nodes, and leaves one of them behind what the log of the
// others has; a snapshot takes some seconds.
func behind(t *testing.T, rate int64, spoil *atomic.Int32) (g *gang, away int) {
	g = newGang(t, 3, func(_ int, c *Config) {
		c.trailing, c.SnapshotRate = 1, rate
		dial := c.dial
		c.dial = func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := dial(ctx, addr)
			if err != nil {
				return nil, err
			}
			if spoil.Load() <= 0 {
				return conn, nil
			}
			return &spoiltLine{Conn: conn, spoil: spoil}, nil
		}
	})
	g.write(0, "/m/a", "before")
	away = (g.leader() + 1) % 3
	g.stop(away)
	lead := g.leader()
	for k := range 60 {
		data := make([]byte, 30<<10)
		_, _ = rand.NewChaCha8([32]byte{byte(k)}).Read(data) // never fails; does not compress
		g.propose(lead, writeOp(vfs.Path(fmt.Sprintf("/m/big%d", k)), vfs.Content{Data: data}))
	}
	for _, n := range g.nodes {
		if n != nil {
			if err := n.Snapshot(testContext(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return g, away
}

// TestInstallInterrupted has the leader go while it sends a snapshot, twice:
// the node that receives it answers meanwhile, and gets it from the next.
func TestInstallInterrupted(t *testing.T) {
	g, away := behind(t, 200<<10, &atomic.Int32{})
	g.start(away)
	n := g.nodes[away]
	for range 2 {
		poll(t, "a snapshot to arrive", func() bool { return n.net.installing.Load() })
		asked := time.Now()
		if err := n.raft.VerifyLeader().Error(); !errors.Is(err, raft.ErrNotLeader) || time.Since(asked) > 5*time.Second && !n.net.installing.Load() {
			t.Errorf("raft says %v after %v", err, time.Since(asked))
		}
		lead := g.elected(-1)
		g.wires.isolate(lead, true)
		g.elected(lead) // by the vote of the node that receives
		g.wires.isolate(lead, false)
	}
	g.ready()
	g.sameDigest()
	g.write(away, "/m/c", "and on")
}

// elected waits for a node, other than one, to win an election, which it may
// do long before it can commit anything.
func (g *gang) elected(but int) (lead int) {
	poll(g.t, "a leader", func() bool {
		for i, n := range g.nodes {
			if i != but && n.raft.State() == raft.Leader {
				lead = i
				return true
			}
		}
		return false
	})
	return lead
}

// TestInstallSpoilt flips a byte of two snapshots on their way: neither is
// installed, and the third is.
func TestInstallSpoilt(t *testing.T) {
	spoil := &atomic.Int32{}
	g, away := behind(t, 64<<20, spoil)
	spoil.Store(2)
	g.start(away)
	g.ready()
	g.sameDigest()
	if left := spoil.Load(); left > 0 {
		t.Errorf("%d were not spoilt", left)
	}
	if n := g.figure(g.nodes[away].metrics.installs.WithLabelValues("failed")); n < 1 { // one may be broken off before that
		t.Error("no failure is told")
	}
}

// TestPacer spreads bytes.
func TestPacer(t *testing.T) {
	p, stop := &pacer{rate: 1 << 20}, make(chan struct{})
	start := time.Now()
	for range 8 {
		if !p.wait(64<<10, stop) {
			t.Fatal("stopped")
		}
	}
	if took := time.Since(start); took < 400*time.Millisecond {
		t.Errorf("half a megabyte at one a second took %v", took)
	}
	p.wait(100<<20, stop)
	close(stop)
	if p.wait(1, stop) {
		t.Error("it went on")
	}
}
