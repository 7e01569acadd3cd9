package cluster

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// silence is for how long a deposed leader may say nothing to calls under way.
const silence = time.Second

// reign is a term in which this node leads and whose first Event is applied.
type reign struct {
	term  uint64
	begin uint64 // index of that Event
}

// watchRole follows raft's word on whether this node leads. Raft waits for it,
// so it does nothing long.
func (n *Node) watchRole(ctx context.Context, notify <-chan bool) {
	end := func() {}
	defer func() { end() }()
	for {
		select {
		case leads := <-notify:
			end()
			end = func() {}
			if leads {
				end = n.lead(ctx)
			}
		case <-ctx.Done():
			return
		}
	}
}

// lead starts what a leader does; the function it returns ends that.
func (n *Node) lead(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	n.metrics.terms.Inc()
	n.pace(false) // heartbeats go at that pace, too
	go func() {
		defer close(done)
		defer n.catch()
		if n.begin(ctx) {
			n.govern(ctx)
		}
	}()
	n.crew.spawn(func() { n.relieve(ctx) })
	return func() {
		n.reign.Store(nil)
		cancel()
		n.pack.drop()
		<-done
		n.reign.Store(nil) // begin may have been faster than cancel
	}
}

// begin proposes the first Event of the term until it is applied.
func (n *Node) begin(ctx context.Context) bool {
	op := vfs.Op{Verb: vfs.Begin, Path: vfs.Root,
		Data: fsm.EncodeBegin(fsm.BeginSpec{Cluster: n.self.cluster(), Node: n.id})}
	for ctx.Err() == nil {
		term := n.raft.CurrentTerm()
		out, err := n.pack.first(vfs.Request{Ops: []vfs.Op{op}})
		if err == nil && out.Err == nil && n.raft.CurrentTerm() == term && n.raft.State() == raft.Leader {
			n.reign.Store(&reign{term, out.Index})
			n.c.Log.Info("this node leads", "term", term, "index", out.Index)
			return ctx.Err() == nil
		}
		if err == nil {
			err = out.Err
		}
		n.c.Log.Warn("term has not begun", "term", term, "error", err)
		if !pause(ctx, retryPause) {
			break
		}
	}
	return false
}

// rules reports whether the reign still stands.
func (n *Node) rules(r *reign) bool {
	return r != nil && n.reign.Load() == r && n.raft.CurrentTerm() == r.term && n.raft.State() == raft.Leader
}

// govern is the leader's clockwork.
func (n *Node) govern(ctx context.Context) {
	c := newClockwork(n)
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			c.turn(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// leader returns the node that leads, as far as this node knows.
func (n *Node) leader() (target, bool) {
	addr, id := n.raft.LeaderWithID()
	if id == "" {
		return target{}, false
	}
	if t, ok := n.book.find(string(id)); ok {
		return t, true
	}
	return target{string(id), string(addr)}, true
}

// watchLeader counts the leaders that this node has seen, and gives up on
// calls to one that was deposed and has gone silent.
func (n *Node) watchLeader(ctx context.Context) {
	seen := make(chan raft.Observation, roleChanges)
	o := raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	n.raft.RegisterObserver(o)
	defer n.raft.DeregisterObserver(o)
	var (
		last    target
		changed time.Time
	)
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case s := <-seen:
			l, ok := s.Data.(raft.LeaderObservation)
			if !ok || l.LeaderID == "" || string(l.LeaderID) == last.id {
				continue
			}
			n.metrics.leaders.Inc()
			n.c.Log.Info("leader", "node", string(l.LeaderID))
			n.peers.drop(last, changed)
			changed = time.Now()
			t.Reset(silence)
		case <-t.C:
			n.peers.drop(last, changed)
			last, _ = n.leader()
		case <-ctx.Done():
			return
		}
	}
}
