package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// What a leader takes a member for by what raft tells of its heartbeats.
func TestBeats(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	fails := func(id string, heard int) any {
		return raft.FailedHeartbeatObservation{PeerID: raft.ServerID(id), LastContact: at(heard)}
	}
	var b beats
	for i, step := range []struct {
		at       int
		observed any
		silent   int // seconds
	}{
		{1, fails("n2", 0), 1}, // before anything was said of who leads
		{2, raft.Leader, 0},
		{3, fails("n2", 1), 0}, // asked by the leader that this node was before
		{4, fails("n3", 2), 0}, // somebody else
		{9, fails("n2", 2), 7},
		{12, fails("n2", 2), 10},
		{13, fails("n2", 12), 1}, // an entry was answered meanwhile
		{20, fails("n2", 12), 8},
		{21, raft.ResumedHeartbeatObservation{PeerID: "n3"}, 8},
		{22, raft.ResumedHeartbeatObservation{PeerID: "n2"}, 0},
		{30, fails("n2", 22), 8},
		{31, raft.PeerObservation{Peer: raft.Server{ID: "n2"}, Removed: true}, 0},
		{40, fails("n2", 32), 8},
		{41, raft.Follower, 0},
		{42, fails("n2", 32), 0},
	} {
		b.take(step.observed, at(step.at))
		if s := b.silent("n2", begin); s != time.Duration(step.silent)*time.Second {
			t.Errorf("step %d: silent for %v, want %d s", i, s, step.silent)
		}
	}
	b.take(raft.Leader, at(50))
	b.take(fails("n2", 50), at(70))
	for began, want := range map[int]int{0: 20, 60: 10, 80: 0} {
		if s := b.silent("n2", at(began)); s != time.Duration(want)*time.Second {
			t.Errorf("to one that listens since %d s: silent for %v, want %d s", began, s, want)
		}
	}
}

// deafen has n hear nothing of how a member is, until the function it returns is
// called; raft goes on.
func deafen(t *testing.T, n *Node, id string) func() {
	t.Helper()
	to, _ := n.book.find(id)
	line, err := n.peers.pipe(lineKey{to, short})
	if err != nil {
		t.Fatal(err)
	}
	line.turn <- struct{}{} // nobody else dials
	if l := line.live(); l != nil {
		l.kill(errors.New("the test wants it so"))
	}
	return func() { <-line.turn }
}

// A member that answers raft alone keeps its mounts, as it holds them. Once raft has no
// answer either they move, also when another node leads since: it does not vote.
func TestHeartbeatsKeepMounts(t *testing.T) {
	t.Parallel()
	o := &only{t: t}
	g := newGang(t, 3, func(i int, c *Config) {
		c.hold = 2 * time.Second
		c.Election = time.Second // each new leader waits anew before it moves something
		if c.Expect = 2; i == 2 {
			c.NonVoter = true
		}
		o.runIn(c)
	})
	o.mount(g, "n3")
	poll(t, "the mount on node 3", func() bool { return o.on() == "n3" })
	var hear []func()
	for _, n := range g.nodes[:2] { // also who may lead later
		hear = append(hear, deafen(t, n, "n3"))
		poll(t, "that it is missed", func() bool { return !n.contacts.since("n3").IsZero() })
	}
	long := g.nodes[0].moveAfter() + 5*time.Second
	for start := time.Now(); time.Since(start) < long; time.Sleep(20 * time.Millisecond) {
		if on := o.on(); on != "n3" && on != "" { // it may end it for a while, if it is held up
			t.Fatalf("it is on %s after %v, and node 3 answers raft", on, time.Since(start))
		}
	}
	for i, n := range g.nodes[:2] {
		if s := time.Since(n.contacts.since("n3")); s < long {
			t.Fatalf("node %d misses node 3 for %v: nothing was tried", i+1, s)
		}
		hear[i]()
	}
	g.wires.isolate(2, true)
	poll(t, "leadership to be handed over", func() bool { return g.nodes[g.leader()].handOver(testContext(t), "") == nil })
	poll(t, "the mount elsewhere", func() bool { on := o.on(); return on == "n1" || on == "n2" })
	g.wires.isolate(2, false)
	g.ready()
	g.sameDigest()
}
