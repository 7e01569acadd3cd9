package cluster

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// membership is what a node holds of its place among the others.
type membership struct {
	up       atomic.Bool // raft runs
	started  time.Time
	removed  atomic.Bool // from the cluster
	contacts contacts
	beats    beats

	managing   turn   // changes of members
	turnedAway saying // of a node that is not taken in; of whose turn it is
	waiting    saying // for others to form a cluster with

	verifying turn     // this node has all hash their states
	hashing   turn     // of the whole state
	lastSums  fsm.Sums // of whose turn it is
}

// Roles of a node, as clients see them.
const (
	roleVoter    = "voter"
	roleNonVoter = "non-voter"
	roleRemoved  = "removed"
)

func roleOf(s raft.Server) string {
	if s.Suffrage == raft.Voter {
		return roleVoter
	}
	return roleNonVoter
}

// addNode makes a node a member that does not vote. Whether it will vote once
// it runs and has caught up is kept in the log.
func (n *Node) addNode(ctx context.Context, a Action, conf raft.Configuration) (Change, error) {
	s, known := serverOf(conf, a.ID)
	if known && string(s.Address) != a.Address {
		return Change{}, vfs.Conflict.Withf("node %s is a member at %s: start it with its new address, and it corrects that by itself; or remove it first", a.ID, s.Address)
	}
	if known && (s.Suffrage == raft.Voter) == a.Voter {
		return Change{Message: fmt.Sprintf("%s is a %s already", a.ID, roleOf(s)), ID: a.ID, Role: roleOf(s)}, n.setStandby(ctx, a.ID, !a.Voter)
	}
	if known && s.Suffrage == raft.Voter {
		return Change{}, vfs.Conflict.Withf("node %s votes: take its vote away with demote", a.ID)
	}
	for _, o := range conf.Servers {
		if string(o.ID) != a.ID && string(o.Address) == a.Address {
			return Change{}, vfs.Conflict.Withf("node %s has the address %s", o.ID, a.Address)
		}
	}
	if err := n.setStandby(ctx, a.ID, !a.Voter); err != nil {
		return Change{}, err
	}
	s.ID = raft.ServerID(a.ID)
	if !known {
		if err := n.place(conf, s, a.Address, raft.Nonvoter); err != nil {
			return Change{}, err
		}
	}
	c := Change{Message: a.ID + " is a non-voter", ID: a.ID, Role: roleNonVoter, Changed: true, Index: n.machine.Applied()}
	if a.Voter {
		c.Message += ", and a voter once it has caught up"
	}
	return c, nil
}

// promoteNode gives a node a vote, if it has caught up.
func (n *Node) promoteNode(ctx context.Context, a Action, conf raft.Configuration) (Change, error) {
	s, known := serverOf(conf, a.ID)
	switch {
	case !known:
		return Change{}, unknownNode(a.ID)
	case s.Suffrage == raft.Voter:
		return Change{Message: a.ID + " is a voter already", ID: a.ID, Role: roleVoter}, n.setStandby(ctx, a.ID, false)
	}
	st, ok := n.askState(ctx, a.ID)
	commit := n.raft.CommitIndex()
	switch {
	case !ok:
		return Change{}, vfs.Conflict.Withf("node %s does not answer: start it first", a.ID)
	case !n.caughtUp(st.Applied):
		return Change{}, vfs.Conflict.Withf("node %s is %d entries behind: promote it when it has caught up", a.ID, commit-min(commit, st.Applied))
	}
	f := n.raft.AddVoter(s.ID, s.Address, 0, joinTime)
	if err := f.Error(); err != nil {
		return Change{}, err
	}
	return Change{Message: a.ID + " is a voter", ID: a.ID, Role: roleVoter, Changed: true, Index: f.Index()}, n.setStandby(ctx, a.ID, false)
}

// demoteNode takes a node's vote away; it stays a member.
func (n *Node) demoteNode(ctx context.Context, a Action, conf raft.Configuration) (Change, error) {
	s, known := serverOf(conf, a.ID)
	switch {
	case !known:
		return Change{}, unknownNode(a.ID)
	case s.Suffrage != raft.Voter:
		return Change{Message: a.ID + " is a non-voter already", ID: a.ID, Role: roleNonVoter}, n.setStandby(ctx, a.ID, true)
	}
	if err := n.mayLose(ctx, a, conf); err != nil {
		return Change{}, err
	}
	if err := n.stepAside(ctx, a.ID); err != nil {
		return Change{}, err
	}
	if err := n.setStandby(ctx, a.ID, true); err != nil { // or it would ask for its vote again
		return Change{}, err
	}
	f := n.raft.DemoteVoter(s.ID, 0, joinTime)
	if err := f.Error(); err != nil {
		return Change{}, err
	}
	return Change{Message: a.ID + " is a non-voter", ID: a.ID, Role: roleNonVoter, Changed: true, Index: f.Index()}, nil
}

// removeNode takes a node out of the cluster; its data stays where it is.
func (n *Node) removeNode(ctx context.Context, a Action, conf raft.Configuration) (Change, error) {
	s, known := serverOf(conf, a.ID)
	switch {
	case !known && n.record(a.ID) == nil:
		return Change{}, unknownNode(a.ID)
	case !known:
		return Change{Message: a.ID + " is not a member already", ID: a.ID, Role: roleRemoved}, nil
	}
	if s.Suffrage == raft.Voter {
		if err := n.mayLose(ctx, a, conf); err != nil {
			return Change{}, err
		}
	}
	if err := n.checkContent(ctx, a, conf); err != nil {
		return Change{}, err
	}
	if err := n.stepAside(ctx, a.ID); err != nil {
		return Change{}, err
	}
	f := n.raft.RemoveServer(s.ID, 0, joinTime)
	if err := f.Error(); err != nil {
		return Change{}, err
	}
	return Change{Message: a.ID + " is removed; its data is kept", ID: a.ID, Role: roleRemoved, Changed: true, Index: f.Index()}, n.setStandby(ctx, a.ID, false)
}

// transferTo hands leadership over, to a.ID or to whoever is furthest.
func (n *Node) transferTo(ctx context.Context, a Action, conf raft.Configuration) (Change, error) {
	if a.ID == n.id {
		return Change{Message: a.ID + " leads already", ID: a.ID, Leader: n.id}, nil
	}
	if a.ID != "" {
		s, known := serverOf(conf, a.ID)
		if !known {
			return Change{}, unknownNode(a.ID)
		}
		if s.Suffrage != raft.Voter {
			return Change{}, vfs.Conflict.Withf("node %s does not vote, so it cannot lead: promote it first", a.ID)
		}
		if _, ok := n.askState(ctx, a.ID); !ok {
			return Change{}, vfs.Conflict.Withf("node %s does not answer: start it first", a.ID)
		}
	}
	if err := n.handOver(ctx, a.ID); err != nil {
		return Change{}, err
	}
	c := Change{Message: n.id + " has handed leadership over", Changed: true}
	for range int(askTime / retryPause) {
		if to, ok := n.leader(); ok && to.id != n.id {
			c.ID, c.Leader, c.Message = to.id, to.id, to.id+" leads now"
			break
		}
		if !pause(ctx, retryPause) {
			break
		}
	}
	return c, nil
}

// handOver gives leadership to a voter, any if id is "". Entries under way are
// answered first: the one who leaves could not say what became of them.
func (n *Node) handOver(ctx context.Context, id string) error {
	if len(n.voters()) < 2 {
		return vfs.Conflict.With("there is no other voter to lead: promote one first")
	}
	release, ok := n.pack.hold(ctx)
	defer release()
	if !ok {
		return vfs.Unavailable.With("entries under way are not committed: try again")
	}
	transfer := n.raft.LeadershipTransfer
	if id != "" {
		to, ok := n.book.find(id)
		if !ok {
			return unknownNode(id)
		}
		transfer = func() raft.Future {
			return n.raft.LeadershipTransferToServer(raft.ServerID(id), raft.ServerAddress(to.address))
		}
	}
	if err := transfer().Error(); err != nil {
		return vfs.Unavailable.Withf("leadership is not handed over: %v; try again", err)
	}
	return nil
}
