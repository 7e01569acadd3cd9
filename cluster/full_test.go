package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// gauges are the free bytes of each node's disk of a thousand.
func gauges(n int) ([]atomic.Int64, func(int, *Config)) {
	free := make([]atomic.Int64, n)
	for i := range free {
		free[i].Store(1000)
	}
	return free, func(i int, c *Config) {
		c.DiskReserve = 100
		c.usage = func() (int64, int64, error) { return 1000, free[i].Load(), nil }
	}
}

// kindOf proposes a write of inline data at a node and returns the kind of its
// error, 0 for none.
func (g *gang) kindOf(i int, path vfs.Path) vfs.Kind {
	r := writeOp(path, vfs.Content{Data: []byte("x")})
	return vfs.KindOf(insist(g.nodes[i], func() error {
		out, err := g.nodes[i].Propose(testContext(g.t), r)
		return errors.Join(err, out.Err)
	}))
}

func (g *gang) keepKind(i int) vfs.Kind {
	data := bytes.Repeat([]byte(randomText()), 4<<10)
	return vfs.KindOf(insist(g.nodes[i], func() error {
		_, err := g.nodes[i].Keep(testContext(g.t), bytes.NewReader(data), 0)
		return err
	}))
}

// TestFullDisk has a single node run out of space: reads and removals go on.
func TestFullDisk(t *testing.T) {
	free, edit := gauges(1)
	g := newGang(t, 1, edit)
	n := g.nodes[0]
	g.write(0, "/m/a", "before")
	known := writeOp("/m/known", vfs.Content{Data: []byte("x")})
	if out, err := n.Propose(testContext(t), known); err != nil || out.Err != nil {
		t.Fatal(err, out.Err)
	}
	queue := func(verb vfs.Verb, file, text string) vfs.Kind {
		out, err := n.Propose(testContext(t), vfs.Request{Ops: []vfs.Op{{Verb: verb, Path: "/q/jobs/" + vfs.Path(file), Data: []byte(text)}}})
		return vfs.KindOf(errors.Join(err, out.Err))
	}
	mount := vfs.Op{Verb: vfs.Mount, Path: "/q", Data: fsm.EncodeMount(fsm.MountSpec{Type: "queuefs", Doc: "x"})}
	if out, err := n.Propose(testContext(t), vfs.Request{Ops: []vfs.Op{mount}}); err != nil || out.Err != nil {
		t.Fatal(err, out.Err)
	}
	for round := range 3 {
		if k := queue(vfs.Write, "enqueue", "job"); k != 0 {
			t.Errorf("round %d: enqueue: %v", round, k)
		}
		free[0].Store(99)
		poll(t, "writes to be refused", func() bool { return g.kindOf(0, "/m/full") == vfs.NoSpace })
		if add, clear := queue(vfs.Write, "enqueue", "more"), queue(vfs.Write, "clear", ""); add != vfs.NoSpace || clear != 0 {
			t.Errorf("round %d: enqueue: %v, clear: %v", round, add, clear)
		}
		if k := g.keepKind(0); k != vfs.NoSpace {
			t.Errorf("round %d: an upload: %v", round, k)
		}
		if out, err := n.Propose(testContext(t), known); err != nil || !out.Replayed {
			t.Errorf("round %d: a repeat: %+v, %v", round, out, err)
		}
		if b, err := g.read(0, "/m/a", vfs.Level{Linearizable: true}); err != nil || string(b) != "before" {
			t.Errorf("round %d: read %q, %v", round, b, err)
		}
		for _, op := range []vfs.Op{{Verb: vfs.Truncate, Path: "/m/known", Off: 0}, {Verb: vfs.Remove, Path: "/m/known"}} {
			if round == 0 {
				if out, err := n.Propose(testContext(t), vfs.Request{Ops: []vfs.Op{op}}); err != nil || out.Err != nil {
					t.Errorf("%v: %v, %v", op.Verb, err, out.Err)
				}
			}
		}
		if err := n.Ready(); err != nil {
			t.Errorf("round %d: not ready: %v", round, err)
		}
		free[0].Store(1000)
		poll(t, "writes to go on", func() bool { return g.kindOf(0, vfs.Path(fmt.Sprintf("/m/b%d", round))) == 0 })
	}
}

// TestFullDisksOfThree fills the disk of a follower, of the leader, of two and
// of all.
func TestFullDisksOfThree(t *testing.T) {
	free, edit := gauges(3)
	g := newGang(t, 3, edit)
	g.write(0, "/m/a", "before")
	all := func(v int64) {
		for i := range free {
			free[i].Store(v)
		}
	}
	for round := range 2 {
		lead := g.leader()
		follower := (lead + 1) % 3
		free[follower].Store(1)
		poll(t, "the follower to be full", g.nodes[follower].vol.Full)
		g.write(follower, "/m/inline", "x") // a quorum has space
		if k := g.keepKind(follower); k != vfs.NoSpace {
			t.Errorf("an upload to a full follower: %v", k)
		}
		if k := g.keepKind(lead); k != 0 {
			t.Errorf("an upload beside a full follower: %v", k)
		}
		all(1000)
		poll(t, "space", func() bool { return !g.nodes[follower].vol.Full() })

		free[lead].Store(1)
		poll(t, "another leader", func() bool { return g.leader() != lead })
		g.write(lead, "/m/moved", "x")
		all(1)
		for i := range g.nodes {
			poll(t, "all to refuse", func() bool { return g.kindOf(i, "/m/full") == vfs.NoSpace })
			if b, err := g.read(i, "/m/a", vfs.Level{Linearizable: true}); err != nil || string(b) != "before" {
				t.Errorf("round %d: node %d: read %q, %v", round, i, b, err)
			}
		}
		removal := vfs.Request{Key: randomText(), Ops: []vfs.Op{{Verb: vfs.Remove, Path: "/m/inline"}}}
		poll(t, "a removal", func() bool { // where nobody leads for long it is refused, too
			out, err := g.nodes[follower].Propose(testContext(t), removal)
			if out.Err != nil {
				t.Fatal(out.Err)
			}
			return err == nil
		})
		all(1000)
		poll(t, "writes to go on", func() bool { return g.kindOf(follower, "/m/again") == 0 })
		poll(t, "uploads to go on", func() bool { return g.keepKind(follower) == 0 })
	}
	g.sameDigest()
}

// TestFullFollowerReads has a follower without space read content that it
// could not keep.
func TestFullFollowerReads(t *testing.T) {
	free, edit := gauges(3)
	g := newGang(t, 3, edit)
	lead := g.leader()
	follower := (lead + 1) % 3
	free[follower].Store(1)
	poll(t, "the follower to be full", g.nodes[follower].vol.Full)
	data := bytes.Repeat([]byte("0123456789"), 100<<10)
	c := g.keep(lead, data)
	out := g.propose(lead, writeOp("/m/big", c))
	b, err := g.read(follower, "/m/big", vfs.Level{MinIndex: out.Index})
	if err != nil || !bytes.Equal(b, data) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	hash := c.Refs[0].Hash
	if g.nodes[follower].blobs.Has(hash) {
		t.Error("it kept the chunk")
	}
	free[follower].Store(1000)
	poll(t, "the chunk", func() bool { return g.nodes[follower].blobs.Has(hash) })
}
