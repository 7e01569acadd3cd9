package cluster

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/plugins"
	"github.com/pfs-project/pfs/test/ports"
	"github.com/pfs-project/pfs/vfs"
)

// grow starts one more node, which joins through the nodes that run, and waits
// until it votes.
func (g *gang) grow() int {
	g.t.Helper()
	i := len(g.conf)
	c := g.conf[0]
	c.NodeID, c.Dir = fmt.Sprintf("n%d", i+1), filepath.Join(g.t.TempDir(), "data")
	c.Address, c.HTTP = ports.Free(g.t, 1)[0], fmt.Sprintf("http://api%d", i+1)
	c.Join = nil
	for j, n := range g.nodes {
		if n != nil {
			c.Join = append(c.Join, g.conf[j].Address)
		}
	}
	c.dial = g.wires.dialFrom(i)
	c.Plugins = plugins.Builtin(nil)
	g.wires.own(c.Address, i)
	g.conf, g.nodes = append(g.conf, c), append(g.nodes, nil)
	g.start(i)
	g.ready()
	poll(g.t, c.NodeID+" to vote", func() bool {
		for _, s := range g.nodes[g.leader()].configuration().Servers {
			if string(s.ID) == c.NodeID {
				return s.Suffrage == raft.Voter
			}
		}
		return false
	})
	return i
}

// handTo makes a node the leader.
func (g *gang) handTo(i int) {
	g.t.Helper()
	poll(g.t, "leadership to be handed over", func() bool {
		l := g.nodes[g.leader()]
		if l == g.nodes[i] {
			return true
		}
		to := g.nodes[i]
		_ = l.raft.LeadershipTransferToServer(raft.ServerID(to.ID()), raft.ServerAddress(to.Address())).Error() // looked at again
		return false
	})
}

// shrink takes a node out of the cluster, and stops it.
func (g *gang) shrink(i int) {
	g.t.Helper()
	poll(g.t, "it to be removed", func() bool { // who leads may change meanwhile
		return g.nodes[g.leader()].raft.RemoveServer(raft.ServerID(g.nodes[i].ID()), 0, 0).Error() == nil
	})
	g.stop(i)
}

// TestLaggingNode was away when the node that leads now was added: the members
// that it knows tell it.
func TestLaggingNode(t *testing.T) {
	g := newGang(t, 3, func(_ int, c *Config) {
		c.Election = time.Second
		c.alone = time.Hour // nobody is let in because nobody answers
	})
	lord := g.leader()
	away := (lord + 1) % 3
	g.stop(away)
	fourth, fifth := g.grow(), g.grow()
	g.handTo(fourth)
	g.stop(lord) // which would tell it, too
	g.write(fifth, "/m/a", "since")
	g.start(away)
	g.ready()
	g.sameDigest()
	if b, err := g.read(away, "/m/a", vfs.Level{}); string(b) != "since" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// TestAllOthersReplaced: a node comes back, and none of those that it knows is
// there any more.
func TestAllOthersReplaced(t *testing.T) {
	var log journal
	g := newGang(t, 3, func(i int, c *Config) {
		c.Election = time.Second
		c.alone = time.Second
	})
	away := (g.leader() + 1) % 3
	g.stop(away)
	first, second := g.grow(), g.grow()
	g.handTo(first)
	g.shrink((away + 1) % 3)
	g.shrink((away + 2) % 3)
	g.write(second, "/m/a", "since")
	g.conf[away].Log = log.logger()
	g.start(away)
	g.ready()
	g.sameDigest()
	if !log.has("level=WARN", "no member can be asked") {
		t.Errorf("not told of:\n%s", log.String())
	}
}

// TestTakenOut: who was taken out is not let in by members that have missed it.
func TestTakenOut(t *testing.T) {
	g := newGang(t, 3, func(_ int, c *Config) { c.Election = unshaken })
	lord := g.leader()
	out, other := (lord+1)%3, (lord+2)%3
	id := g.nodes[out].ID()
	if s := g.nodes[other].roster.of(t.Context(), id); s != member {
		t.Fatalf("before: %d", s)
	}
	if err := g.nodes[lord].raft.RemoveServer(raft.ServerID(id), 0, 0).Error(); err != nil {
		t.Fatal(err)
	}
	poll(t, "the others to know", func() bool {
		listed, _ := g.nodes[other].roster.listed(id)
		return !listed
	})
	// It still has itself in its configuration, but hears no leader.
	for _, i := range []int{lord, other} {
		if s := g.nodes[i].roster.of(t.Context(), id); s != outsider {
			t.Errorf("node %d: %d", i+1, s)
		}
		if s := g.nodes[i].roster.of(t.Context(), "never-was"); s != outsider {
			t.Errorf("node %d about a stranger: %d", i+1, s)
		}
	}
	if len(g.nodes[lord].roster.words) != 0 {
		t.Error("who leads asked others")
	}
}

// Many names are not many questions, nor much memory.
func TestManyNames(t *testing.T) {
	g := newGang(t, 3, func(_ int, c *Config) { c.Election = unshaken })
	r := g.nodes[(g.leader()+1)%3].roster
	for i := range maxWords + 100 {
		if s := r.of(t.Context(), fmt.Sprint("x", i)); s != outsider {
			t.Fatal(s)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.words) > maxWords {
		t.Errorf("%d words", len(r.words))
	}
}
