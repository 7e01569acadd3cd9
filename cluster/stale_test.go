package cluster

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/vfs"
)

// A leader whose clock runs slow believes in its lease long after the others
// have chosen another. It must ask them before it answers: the past must not
// be read there. The planted lease read fails here.
func TestSlowClock(t *testing.T) {
	const slow = 2
	g := newGang(t, 3, func(i int, c *Config) {
		c.patience = time.Second
		if i == slow { // not the first: that one begins the cluster
			c.Election = 20 * time.Second // a lease of ten
		}
	})
	if now := g.leader(); now != slow {
		f := g.nodes[now].raft.LeadershipTransferToServer(raft.ServerID("n3"), raft.ServerAddress(g.conf[slow].Address))
		if err := f.Error(); err != nil {
			t.Fatal(err)
		}
	}
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
