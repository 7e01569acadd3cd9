package test

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
)

// guest is the fourth node of a cluster of three, which comes and goes. Its
// role is what was acknowledged last; joins is on the way to voter.
type guest struct {
	p    *powered
	role string
	deed int // of deeds, that is next
	done int
}

const (
	guestOut   = "removed"
	guestJoins = "joins"
)

// deeds are the changes of the guest, one after the other; each leads to a role.
func deeds() []struct {
	do, role string
	ask      func(ctx context.Context, c *client.Client) error
} {
	const id = "n4"
	role := func(_ client.Change, err error) error { return err }
	return []struct {
		do, role string
		ask      func(ctx context.Context, c *client.Client) error
	}{
		{"add", guestJoins, nil},
		{"promote", "voter", func(ctx context.Context, c *client.Client) error { return role(c.Promote(ctx, id)) }},
		{"demote", "non-voter", func(ctx context.Context, c *client.Client) error { return role(c.Demote(ctx, id, false)) }},
		{"promote", "voter", func(ctx context.Context, c *client.Client) error { return role(c.Promote(ctx, id)) }},
		{"remove", guestOut, func(ctx context.Context, c *client.Client) error { return role(c.RemoveNode(ctx, id, false)) }},
	}
}

// begin makes the next change while the power is cut; end has it done.
func (g *guest) begin() (end func()) {
	d := deeds()[g.deed]
	try := func(wait time.Duration) bool {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		cl := g.p.all[rand.IntN(3)].Client()
		if rand.IntN(2) == 0 {
			_, _ = cl.Snapshot(ctx, "") // there may be nothing new
		}
		return d.ask(ctx, cl) == nil
	}
	acked := make(chan bool, 1)
	if d.ask == nil {
		g.p.wipe(3)
		g.p.Nodes = g.p.all
		acked <- true
	} else {
		if d.role == guestOut {
			g.p.Nodes = g.p.all[:3]
		}
		go func() {
			<-time.After(time.Duration(rand.IntN(150)) * time.Millisecond)
			acked <- try(10 * time.Second)
		}()
	}
	return func() {
		if !<-acked && !harness.Poll(60*time.Second, func() bool { return try(10 * time.Second) }) {
			g.p.t.Fatalf("%s of the guest: not within a minute", d.do)
		}
		g.role, g.deed = d.role, (g.deed+1)%len(deeds())
		g.done++
	}
}

// wipe starts a node with an empty directory.
func (p *powered) wipe(i int) {
	p.all[i].Kill()
	if err := os.RemoveAll(p.all[i].Dir); err != nil {
		p.t.Fatal(err)
	}
	p.all[i].Start()
}

// check compares the members with what was acknowledged.
func (g *guest) check() {
	n := g.p.Nodes[0]
	s, err := g.p.reader(n).Cluster(context.Background())
	if err != nil {
		g.p.t.Fatal(err)
	}
	is := guestOut
	for _, m := range s.Nodes {
		if m.ID == "n4" {
			is = m.Role
		}
	}
	if is != g.role && (g.role != guestJoins || is == guestOut) {
		g.p.t.Fatalf("the guest is %s, and was acknowledged to be %s", is, g.role)
	}
}

// TestPowerCutsWithMembers takes the power of one, of two and of all nodes, while
// snapshots are taken and a fourth node is added, promoted, demoted, removed and
// wiped: nothing acknowledged may be lost.
func TestPowerCutsWithMembers(t *testing.T) {
	p := startPowered(t, "", []string{"bolt", "pebble"}[rand.IntN(2)])
	p.disks = append(p.disks, harness.NewDisk(t, 400))
	p.AddAt(p.disks[3].Dir()+"/data", "-log-level", "error")
	p.all = p.Nodes
	defer func() { p.Nodes = p.all }() // all are to be killed
	p.Ready()
	g := &guest{p: p, role: guestJoins, deed: 1}
	count := map[int]int{}
	for round := range rounds(8, 100) {
		end := g.begin()
		which := rand.Perm(4)[:[]int{1, 2, 4}[round%3]]
		p.cut(round, which)
		count[len(which)]++
		for _, n := range p.all {
			n.Start()
		}
		p.Ready()
		end()
		p.Ready()
		g.check()
		written := p.fresh
		if round%10 == 9 {
			written = p.acked
		}
		if lost := p.lost(written); lost > 0 {
			t.Fatalf("round %d: %d acknowledged writes are lost", round, lost)
		}
	}
	for g.role != "voter" {
		g.begin()()
		p.Ready()
	}
	if lost := p.lost(p.acked); lost > 0 {
		t.Fatalf("%d acknowledged writes are lost", lost)
	}
	index, digest := p.SameDigest()
	t.Logf("power cuts of one node %d, of two %d, of all four %d, with %d changes of members; %d acknowledged writes: lost 0; digest at %d %.16s",
		count[1], count[2], count[4], g.done, len(p.acked), index, digest)
}
