package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/test/ports"
	"github.com/pfs-project/pfs/vfs"
)

// do does an Action at node i and returns its message.
func (g *gang) do(i int, a Action) (string, error) {
	var c Change
	err := insist(g.nodes[i], func() (err error) {
		c, err = g.nodes[i].Manage(testContext(g.t), a)
		return err
	})
	if c.Changed {
		c.Message += " (changed)"
	}
	return c.Message, err
}

// must has an Action done. It is asked for again where somebody who is held up does
// not answer; and one that took so long that the node may have asked more than one
// leader itself may have been done by the first of them.
func (g *gang) must(i int, a Action, want string) {
	g.t.Helper()
	for start, term := time.Now(), g.term(); ; time.Sleep(retryPause) {
		got, err := g.do(i, a)
		again := time.Since(start) > time.Second || g.term() != term
		if err == nil && (got == want || again && strings.HasSuffix(want, " (changed)") && strings.HasSuffix(got, " already")) {
			return
		}
		if vfs.KindOf(err) != vfs.Conflict || time.Since(start) > awhile {
			g.t.Fatalf("%+v at node %d: %q, %v; want %q", a, i+1, got, err, want)
		}
	}
}

// term is the last one that any node knows of.
func (g *gang) term() (last uint64) {
	for _, n := range g.nodes {
		if n != nil {
			last = max(last, n.raft.CurrentTerm())
		}
	}
	return last
}

// refuses has an Action refused. Who is held up and does not answer may be another
// reason for that, for a while.
func (g *gang) refuses(i int, a Action, kind vfs.Kind, want string) {
	g.t.Helper()
	for start := time.Now(); ; time.Sleep(retryPause) {
		got, err := g.do(i, a)
		if vfs.KindOf(err) == kind && strings.Contains(fmt.Sprint(err), want) {
			return
		}
		if vfs.KindOf(err) != vfs.Conflict || time.Since(start) > awhile {
			g.t.Fatalf("%+v at node %d: %q, %v; want %v, %q", a, i+1, got, err, kind.Code(), want)
		}
	}
}

// add starts one more node that joins the others, and returns its index.
func (g *gang) add(edit func(c *Config)) int {
	g.t.Helper()
	i := len(g.nodes)
	c := g.conf[0]
	c.NodeID, c.Address, c.Dir = fmt.Sprintf("n%d", i+1), ports.Free(g.t, 1)[0], filepath.Join(g.t.TempDir(), "data")
	c.HTTP, c.Expect = fmt.Sprintf("http://api%d", i+1), 1
	c.Join = nil
	for _, o := range g.conf {
		c.Join = append(c.Join, o.Address)
	}
	c.dial = g.wires.dialFrom(i)
	if edit != nil {
		edit(&c)
	}
	g.wires.own(c.Address, i)
	g.conf, g.nodes = append(g.conf, c), append(g.nodes, nil)
	g.start(i)
	return i
}

func (g *gang) hasRoles(at int, want string) {
	g.t.Helper()
	got := ""
	defer func() {
		if g.t.Failed() {
			g.t.Logf("roles are %q", got)
		}
	}()
	poll(g.t, "roles "+want, func() bool { got = g.roles(at); return got == want })
}

// TestGrowAndShrink goes from one node to three and back, under writes, with
// every change asked for at whatever node.
func TestGrowAndShrink(t *testing.T) {
	g := newGang(t, 1, nil)
	var stop atomic.Bool
	var wg sync.WaitGroup
	written := 0
	first := g.nodes[0]
	wg.Go(func() {
		for ; !stop.Load(); written++ {
			r := writeOp(vfs.Path(fmt.Sprintf("/m/f%d", written%100)), vfs.Content{Data: []byte(fmt.Sprint(written))})
			begun := time.Now()
			err := insist(first, func() error {
				out, err := first.Propose(testContext(t), r)
				return errors.Join(err, out.Err)
			})
			if took := time.Since(begun); err != nil || took > 30*time.Second {
				t.Errorf("write %d: %v after %v", written, err, took)
				return
			}
		}
	})
	g.refuses(0, Action{Do: "remove", ID: "n1", Force: true}, vfs.Conflict, "n1 is the only voter")
	g.add(nil)
	g.add(nil)
	g.hasRoles(0, "n1 voter, n2 voter, n3 voter")
	g.ready()
	g.must(1, Action{Do: "demote", ID: "n3"}, "n3 is a non-voter (changed)")
	g.must(2, Action{Do: "demote", ID: "n3"}, "n3 is a non-voter already")
	poll(t, "n1 to hear of it", func() bool { return len(g.nodes[0].voters()) == 2 })
	holds(t, "n3 stays without a vote", 2*time.Second, func() bool { return len(g.nodes[0].voters()) == 2 })
	g.must(2, Action{Do: "promote", ID: "n3"}, "n3 is a voter (changed)")
	g.must(0, Action{Do: "promote", ID: "n3"}, "n3 is a voter already")
	g.must(0, Action{Do: "transfer", ID: "n2"}, "n2 leads now (changed)")
	g.must(0, Action{Do: "remove", ID: "n2"}, "n2 is removed; its data is kept (changed)") // it leads
	g.must(0, Action{Do: "remove", ID: "n2"}, "n2 is not a member already")
	g.refuses(0, Action{Do: "remove", ID: "n3"}, vfs.Conflict, "n1 alone would be left")
	g.refuses(2, Action{Do: "demote", ID: "n3"}, vfs.Conflict, "n1 alone would be left")
	poll(t, "n2 to hear of it", func() bool { return g.nodes[1].Ready() == errRemoved })
	if _, err := g.nodes[1].Propose(testContext(t), writeOp("/m/x", vfs.Content{})); vfs.KindOf(err) != vfs.Unavailable || !strings.Contains(err.Error(), "was removed") {
		t.Errorf("a write at a node that was removed: %v", err)
	}
	if _, err := g.readOnce(1, "/m/f0", vfs.Level{}); vfs.KindOf(err) != vfs.Unavailable || !strings.Contains(err.Error(), "was removed") {
		t.Errorf("a read there, of what may be long past: %v", err)
	}
	g.stop(1)
	g.start(1)
	poll(t, "n2 to hear of it again", func() bool { return g.nodes[1].Ready() == errRemoved })
	g.stop(1)
	g.must(0, Action{Do: "remove", ID: "n3", Force: true}, "n3 is removed; its data is kept (changed)")
	stop.Store(true)
	wg.Wait()
	if b, err := g.read(0, vfs.Path(fmt.Sprintf("/m/f%d", (written-1)%100)), vfs.Level{Linearizable: true}); err != nil || string(b) != fmt.Sprint(written-1) {
		t.Errorf("the last of %d writes: %q, %v", written, b, err)
	}
	t.Logf("%d writes", written)
}

// A node that was removed comes back with what it has when it is added again.
func TestAddAgain(t *testing.T) {
	g := newGang(t, 3, nil)
	g.refuses(0, Action{Do: "remove", ID: "n9"}, vfs.NotFound, "no node n9")
	g.must(0, Action{Do: "remove", ID: "n3"}, "n3 is removed; its data is kept (changed)")
	poll(t, "n3 to hear of it", func() bool { return g.nodes[2].Ready() == errRemoved })
	g.write(0, "/m/a", "meanwhile")
	g.refuses(2, Action{Do: "join", ID: "n3", Address: g.conf[2].Address}, vfs.Unavailable, "was removed")
	g.must(1, Action{Do: "join", ID: "n3", Address: g.conf[2].Address, Voter: true}, "n3 is a non-voter, and a voter once it has caught up (changed)")
	g.ready()
	g.hasRoles(0, "n1 voter, n2 voter, n3 voter")
	g.sameDigest()
}

// TestJoinByRequest has members written down before they are started.
func TestJoinByRequest(t *testing.T) {
	g := newGang(t, 3, nil)
	addrs := ports.Free(t, 2)
	g.must(0, Action{Do: "join", ID: "n4", Address: addrs[0], Voter: true}, "n4 is a non-voter, and a voter once it has caught up (changed)")
	g.must(1, Action{Do: "join", ID: "n5", Address: addrs[1]}, "n5 is a non-voter (changed)")
	g.must(2, Action{Do: "join", ID: "n5", Address: addrs[1]}, "n5 is a non-voter already")
	g.must(2, Action{Do: "join", ID: "n1", Address: g.conf[0].Address, Voter: true}, "n1 is a voter already")
	g.refuses(0, Action{Do: "join", ID: "n1", Address: g.conf[0].Address}, vfs.Conflict, "demote")
	g.refuses(0, Action{Do: "join", ID: "n1", Address: "127.0.0.1:1", Voter: true}, vfs.Conflict, "is a member at")
	g.refuses(0, Action{Do: "join", ID: "n6", Address: g.conf[0].Address}, vfs.Conflict, "has the address")
	g.refuses(0, Action{Do: "promote", ID: "n4"}, vfs.Conflict, "does not answer: start it first")
	g.refuses(0, Action{Do: "transfer", ID: "n4"}, vfs.Conflict, "does not vote")
	for k, addr := range addrs {
		if i := g.add(func(c *Config) { c.Address = addr }); i != 3+k {
			t.Fatal(i)
		}
	}
	g.ready()
	g.hasRoles(0, "n1 voter, n2 voter, n3 voter, n4 voter, n5 non-voter")
	holds(t, "n5 stays without a vote", 2*time.Second, func() bool { return len(g.nodes[0].voters()) == 4 })
	g.must(4, Action{Do: "promote", ID: "n5"}, "n5 is a voter (changed)")
	g.sameDigest()
}

// TestQuorumIsKept refuses what would end writes, unless it is forced.
func TestQuorumIsKept(t *testing.T) {
	g := newGang(t, 4, func(_ int, c *Config) { c.patience = 2 * time.Second })
	if _, err := g.do(0, Action{Do: "transfer", ID: "n1"}); err != nil {
		t.Fatal(err)
	}
	g.stop(3)
	g.refuses(1, Action{Do: "transfer", ID: "n4"}, vfs.Conflict, "does not answer")
	g.must(0, Action{Do: "demote", ID: "n2"}, "n2 is a non-voter (changed)") // two of three are left, and answer
	g.refuses(0, Action{Do: "remove", ID: "n3"}, vfs.Conflict, "of the 2 voters that would be left, n4 does not answer")
	g.refuses(2, Action{Do: "demote", ID: "n1"}, vfs.Conflict, "of the 2 voters that would be left, n4 does not answer")
	g.must(2, Action{Do: "remove", ID: "n4"}, "n4 is removed; its data is kept (changed)")
	g.write(2, "/m/a", "x")
}

// TestContentIsKept refuses to remove a node while another lacks content.
func TestContentIsKept(t *testing.T) {
	g := newGang(t, 3, nil)
	l := g.leader()
	other := (l + 1) % 3
	g.stop(other)
	c := g.keep(l, make([]byte, 100<<10))
	g.propose(l, writeOp("/m/big", c))
	third := 3 - l - other
	g.refuses(l, Action{Do: "remove", ID: g.conf[third].NodeID}, vfs.Conflict, "would be left")
	for _, i := range []int{l, third} { // nobody can give it the chunk
		if err := os.RemoveAll(filepath.Join(g.conf[i].Dir, blobDir, fmt.Sprintf("%x", c.Refs[0].Hash[:1]))); err != nil {
			t.Fatal(err)
		}
	}
	g.start(other)
	g.ready()
	poll(t, "it to know what it lacks", func() bool {
		return g.nodes[other].machine.Counted(c.Refs[0].Hash) && g.nodes[other].missing.lacking() > 0
	})
	g.refuses(l, Action{Do: "remove", ID: g.conf[third].NodeID}, vfs.Conflict, "may have the only copy")
	g.must(l, Action{Do: "remove", ID: g.conf[third].NodeID, Force: true}, g.conf[third].NodeID+" is removed; its data is kept (changed)")
}

// TestBadActions are refused before anything is asked of the cluster.
func TestBadActions(t *testing.T) {
	g := newGang(t, 1, nil)
	for _, a := range []Action{
		{Do: "promote"}, {Do: "remove", ID: "a b"}, {Do: "remove", ID: "a|b"}, {Do: "remove", ID: "a\n"},
		{Do: "remove", ID: strings.Repeat("x", maxID+1)}, {Do: "explode", ID: "n1"},
		{Do: "join", ID: "n2"}, {Do: "join", ID: "n2", Address: "host"}, {Do: "join", ID: "n2", Address: ":7946"},
		{Do: "join", ID: "n2", Address: "0.0.0.0:7946"}, {Do: "join", ID: "n2", Address: "host:0"}, {Do: "join", ID: "n2", Address: "host:99999"},
		{Do: "join", ID: "n2", Address: strings.Repeat("x", maxAddress) + ":1"},
	} {
		g.refuses(0, a, vfs.Invalid, "")
	}
	g.refuses(0, Action{Do: "transfer"}, vfs.Conflict, "no other voter")
	g.refuses(0, Action{Do: "snapshot", ID: "n2"}, vfs.NotFound, "no node n2")
	g.must(0, Action{Do: "transfer", ID: "n1"}, "n1 leads already")
}

// TestTransferUnderLoad moves leadership about under writes without keys: none
// may end without a definite outcome.
func TestTransferUnderLoad(t *testing.T) {
	g := newGang(t, 3, func(_ int, c *Config) { c.Election = unshaken }) // no leader is lost for another reason
	var stop atomic.Bool
	var wg sync.WaitGroup
	var acked atomic.Int64
	for c := range 8 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				r := writeOp(vfs.Path(fmt.Sprintf("/m/f%d", c)), vfs.Content{Data: []byte(fmt.Sprint(i))})
				r.Key = ""
				if out, err := g.nodes[c%3].Propose(testContext(t), r); err != nil || out.Err != nil {
					t.Errorf("write %d of %d: %v, %v", i, c, err, out.Err)
					return
				}
				acked.Add(1)
			}
		})
	}
	for i := range 6 {
		before := acked.Load()
		to := g.conf[(g.leader()+1)%3].NodeID
		if i%2 == 0 {
			g.must(i%3, Action{Do: "transfer", ID: to}, to+" leads now (changed)")
		} else if _, err := g.do(i%3, Action{Do: "transfer"}); err != nil {
			t.Error(err)
		}
		poll(t, "writes to go on", func() bool { return acked.Load() > before+20 || t.Failed() })
	}
	stop.Store(true)
	wg.Wait()
	g.sameDigest()
}

// TestSnapshotByRequest takes snapshots here and elsewhere.
func TestSnapshotByRequest(t *testing.T) {
	g := newGang(t, 3, func(_ int, c *Config) { c.trailing = 1 })
	for i := range 10 {
		g.write(0, vfs.Path(fmt.Sprintf("/m/f%d", i)), "x")
	}
	g.sameDigest()
	for i, a := range []Action{{Do: "snapshot"}, {Do: "snapshot", ID: "n3"}} {
		var c Change
		err := insist(g.nodes[0], func() (err error) {
			c, err = g.nodes[0].Manage(testContext(t), a)
			return err
		})
		at := []int{0, 2}[i]
		first, lerr := g.nodes[at].logs.FirstIndex()
		if err != nil || lerr != nil || !c.Changed || c.Index < 10 || c.ID != g.conf[at].NodeID || first < c.Index-1 {
			t.Errorf("%+v: %+v, %v; its log begins at %d", a, c, err, first)
		}
	}
	if first, err := g.nodes[1].logs.FirstIndex(); err != nil || first != 1 {
		t.Errorf("a node that was not asked cut its log at %d, %v", first, err)
	}
}

// The leader takes the vote of a wiped node away before the node hears of the
// cluster: the log shows it.
func TestWipedVoterIsDemotedFirst(t *testing.T) {
	g := newGang(t, 3, nil)
	l := g.leader()
	w := (l + 1) % 3
	id := g.conf[w].NodeID
	before := g.nodes[l].raft.LastIndex()
	g.wipe(w)
	g.start(w)
	g.ready()
	g.hasRoles(l, "n1 voter, n2 voter, n3 voter")
	var roles []string
	last := g.nodes[l].raft.LastIndex()
	for i := before + 1; i <= last; i++ {
		var e raft.Log
		if err := g.nodes[l].logs.GetLog(i, &e); err != nil {
			t.Fatal(err)
		}
		if e.Type == raft.LogConfiguration {
			s, _ := serverOf(raft.DecodeConfiguration(e.Data), id)
			roles = append(roles, roleOf(s))
		}
	}
	if fmt.Sprint(slices.Compact(roles)) != "[non-voter voter]" { // two leaders may each say it
		t.Errorf("the roles of %s in the log: %v", id, roles)
	}
}

// Members change under TLS as they do without: the node port hears members
// alone, and yet a wiped node gets in, and one that was removed hears of it.
func TestMembersUnderTLS(t *testing.T) {
	o := newOffice(t)
	g := newGang(t, 3, func(_ int, c *Config) { c.TLS = o.files(c.NodeID) })
	w := (g.leader() + 1) % 3
	g.wipe(w)
	g.start(w)
	g.ready()
	g.hasRoles(w, "n1 voter, n2 voter, n3 voter")
	g.add(func(c *Config) { c.TLS = o.files(c.NodeID) })
	g.ready()
	g.hasRoles(0, "n1 voter, n2 voter, n3 voter, n4 voter")
	g.must(3, Action{Do: "remove", ID: "n1"}, "n1 is removed; its data is kept (changed)")
	poll(t, "n1 to hear of it", func() bool { return g.nodes[0].Ready() == errRemoved })
	g.stop(0)
	g.start(0)
	poll(t, "n1 to hear of it again", func() bool { return g.nodes[0].Ready() == errRemoved })
	g.must(1, Action{Do: "join", ID: "n1", Address: g.conf[0].Address, Voter: true}, "n1 is a non-voter, and a voter once it has caught up (changed)")
	g.ready()
	g.hasRoles(3, "n1 voter, n2 voter, n3 voter, n4 voter")
	g.sameDigest()
}

// TestJoinBesideRemovedNode has a new node find the cluster though one that was
// removed from it still runs, at the last address that it tries.
func TestJoinBesideRemovedNode(t *testing.T) {
	g := newGang(t, 3, nil)
	lead := g.leader()
	at, out := (lead+1)%3, (lead+2)%3
	if _, err := g.do(at, Action{Do: "remove", ID: g.nodes[out].ID()}); err != nil {
		t.Fatal(err)
	}
	poll(t, "it to hear of it", func() bool { return g.nodes[out].Ready() == errRemoved })
	i := g.add(func(c *Config) { c.Join = []string{g.conf[at].Address, g.conf[out].Address} })
	poll(t, "the new node to join", func() bool { return g.nodes[i].Ready() == nil })
}

// TestRemovedNodeStaysOut has a node ask for its vote while it is removed, and
// again after a power cut that took its state.
func TestRemovedNodeStaysOut(t *testing.T) {
	g := newGang(t, 3, nil)
	i := g.leader()
	out := g.nodes[(i+1)%3]
	j := joining{out.id, out.mux.advertise, true, out.machine.Applied(), false, out.c.level, out.nonce}
	g.must(i, Action{Do: "remove", ID: out.id}, out.id+" is removed; its data is kept (changed)")
	for _, j.Applied = range []uint64{j.Applied, 0} {
		var n *Node
		poll(t, "the leader to refuse it", func() bool {
			n = g.nodes[g.leader()]
			err := n.takeIn(testContext(t), j)
			if err == nil {
				t.Fatalf("taken in again at %d", j.Applied)
			}
			return strings.Contains(err.Error(), "was removed")
		})
		if _, in := serverOf(n.configuration(), out.id); in {
			t.Errorf("it is a member again at %d", j.Applied)
		}
	}
}
