package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

const stateTime = time.Second

// Status is a cluster as one node sees it.
type Status struct {
	ClusterID    string       `json:"cluster_id"`
	NodeID       string       `json:"node_id"`
	LeaderID     string       `json:"leader_id"` // "" if there is none
	Term         uint64       `json:"term"`
	CommitIndex  uint64       `json:"commit_index"`
	AppliedIndex uint64       `json:"applied_index"`
	Nodes        []NodeStatus `json:"nodes"` // by id
}

// NodeStatus is one member.
type NodeStatus struct {
	ID           string `json:"id"`
	RaftAddress  string `json:"raft_address"`
	HTTPAddress  string `json:"http_address"` // "" before it has told the log
	Role         string `json:"role"`         // voter, non-voter
	State        string `json:"state"`        // leader, follower, candidate, unreachable
	LastContact  int64  `json:"last_contact_ms"`
	AppliedIndex uint64 `json:"applied_index"`
}

// state is what a node says of itself to another.
type state struct {
	State   string `json:"state"`
	Contact int64  `json:"contact_ms"`
	Applied uint64 `json:"applied"`
	Full    bool   `json:"full,omitempty"` // its disk has no space
}

var raftStates = map[raft.RaftState]string{
	raft.Leader: "leader", raft.Follower: "follower", raft.Candidate: "candidate", raft.Shutdown: "unreachable",
}

func (n *Node) state() state {
	return state{raftStates[n.raft.State()], n.lastContact().Milliseconds(), n.machine.Applied(), n.vol.Full()}
}

func (n *Node) serveState(context.Context, string, []byte) (reply, error) {
	return jsonReply(n.state())
}

// Status asks all members, for a second at most, and returns what it heard.
func (n *Node) Status() Status {
	im := n.machine.Image()
	api := map[string]string{}
	for _, m := range im.Members() {
		api[m.ID] = m.HTTP
	}
	s := Status{ClusterID: n.self.cluster(), NodeID: n.id, Term: n.raft.CurrentTerm(),
		CommitIndex: n.raft.CommitIndex(), AppliedIndex: im.Index}
	im.Release()
	_, id := n.raft.LeaderWithID()
	s.LeaderID = string(id)
	servers := n.configuration().Servers
	s.Nodes = make([]NodeStatus, len(servers))
	ctx, cancel := context.WithTimeout(context.Background(), stateTime)
	defer cancel()
	var wg sync.WaitGroup
	for i, sv := range servers {
		s.Nodes[i] = NodeStatus{ID: string(sv.ID), RaftAddress: string(sv.Address), HTTPAddress: api[string(sv.ID)], Role: "voter"}
		if sv.Suffrage != raft.Voter {
			s.Nodes[i].Role = "non-voter"
		}
		wg.Go(func() { n.ask(ctx, &s.Nodes[i]) })
	}
	wg.Wait()
	slices.SortFunc(s.Nodes, func(a, b NodeStatus) int { return strings.Compare(a.ID, b.ID) })
	return s
}

func (n *Node) ask(ctx context.Context, s *NodeStatus) {
	st := state{State: "unreachable", Contact: -1}
	if s.ID == n.id {
		st = n.state()
	} else if to, ok := n.book.find(s.ID); ok {
		if b, err := n.peers.call(ctx, to, short, callState); err == nil {
			_ = json.Unmarshal(b, &st) // unreachable, if it makes no sense
		}
	}
	s.State, s.LastContact, s.AppliedIndex = st.State, st.Contact, st.Applied
}

// Ready returns nil when the node knows a leader, has applied all but the last
// thousand entries that it knows to be committed, and its configured mounts
// are up. The error says what is not so.
func (n *Node) Ready() error {
	if err := n.Failed(); err != nil {
		return fmt.Errorf("node cannot go on: %w", err)
	}
	if _, id := n.raft.LeaderWithID(); id == "" {
		return errors.New("no leader is known")
	}
	if lag := n.lag(); lag > maxLag {
		return fmt.Errorf("%d entries behind", lag)
	}
	if n.number.Load() == 0 {
		return errors.New("not introduced to the cluster yet")
	}
	return n.mounts.settled()
}

// Sums waits until this node has applied index and returns hashes of the
// replicated state, with the index that they are of.
func (n *Node) Sums(ctx context.Context, index uint64) (fsm.Sums, error) {
	if err := n.machine.Wait(ctx, index); err != nil {
		if vfs.KindOf(err) == vfs.Unavailable {
			return fsm.Sums{}, err
		}
		return fsm.Sums{}, vfs.Timeout.Withf("index %d is not applied here yet", index)
	}
	return n.machine.Sums(ctx)
}
