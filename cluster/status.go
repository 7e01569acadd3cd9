package cluster

import (
	"context"
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
	Level        uint64       `json:"feature_level"` // that all members know
	NodePort     string       `json:"node_port"`     // of this node: tls, loopback, or plaintext
	Nodes        []NodeStatus `json:"nodes"`         // by id

	DigestIndex uint64 `json:"digest_index,omitempty"` // what the digests of the nodes are of
}

// NodeStatus is one member. All from Version on is what the node says of
// itself, and empty if it does not answer.
type NodeStatus struct {
	ID           string `json:"id"`
	RaftAddress  string `json:"raft_address"`
	HTTPAddress  string `json:"http_address"` // "" before it has told the log
	Role         string `json:"role"`         // voter, non-voter
	State        string `json:"state"`        // leader, follower, candidate, unreachable
	LastContact  int64  `json:"last_contact_ms"`
	AppliedIndex uint64 `json:"applied_index"`

	Standby     bool       `json:"standby,omitempty"`           // an operator wants it without a vote
	Unreachable *time.Time `json:"unreachable_since,omitempty"` // as far as the asked node knows
	Version     string     `json:"version,omitempty"`
	Started     *time.Time `json:"started,omitempty"`
	Uptime      int64      `json:"uptime_s,omitempty"`
	NotReady    string     `json:"not_ready,omitempty"`    // why GET /ready is not 200 there
	Missing     int        `json:"missing_chunks"`         // that it is still to fetch
	DiskFree    int64      `json:"disk_free_bytes"`        // where its data directory is
	DiskSize    int64      `json:"disk_size_bytes"`        //
	AppendP99   float64    `json:"append_p99_ms"`          // of its last durable appends to the log
	Clock       int64      `json:"clock_ms"`               // how far it is ahead of the asked node's
	CertExpires *time.Time `json:"cert_expires,omitempty"` // if it shows one to the others
	Digest      string     `json:"digest,omitempty"`       // of its state at the digest_index
}

// state is what a node says of itself to another.
type state struct {
	State    string  `json:"state"`
	Contact  int64   `json:"contact_ms"`
	Applied  uint64  `json:"applied"`
	Version  string  `json:"version,omitempty"`
	Started  int64   `json:"started_ms,omitempty"` // Unix milliseconds, as Now
	Now      int64   `json:"now_ms,omitempty"`
	NotReady string  `json:"not_ready,omitempty"`
	Missing  int     `json:"missing,omitempty"`
	DiskFree int64   `json:"disk_free,omitempty"`
	DiskSize int64   `json:"disk_size,omitempty"`
	Append   float64 `json:"append_p99_ms,omitempty"`
	Expires  int64   `json:"cert_expires,omitempty"` // Unix seconds
	Full     bool    `json:"full,omitempty"`         // its disk has no space
	Stalled  bool    `json:"stalled,omitempty"`      // its disk does not move

	Mounts map[vfs.Path]vfs.MountState `json:"mounts,omitempty"` // outside the log
	Runs   []string                    `json:"runs,omitempty"`   // the kinds of third-party plugins
}

var raftStates = map[raft.RaftState]string{
	raft.Leader: "leader", raft.Follower: "follower", raft.Candidate: "candidate", raft.Shutdown: "unreachable",
}

func (n *Node) state() state {
	s := state{State: raftStates[n.raft.State()], Contact: n.lastContact().Milliseconds(), Applied: n.machine.Applied(),
		Version: n.c.Version, Started: n.started.UnixMilli(), Now: time.Now().UnixMilli(),
		Missing: n.missing.lacking(), Append: n.metrics.appendP99(), Full: n.vol.Full(), Stalled: n.stalled()}
	u := n.vol.Usage()
	s.DiskFree, s.DiskSize = u.Free, u.Total
	if n.trust != nil {
		s.Expires = n.trust.now.Load().Expires.Unix()
	}
	s.Mounts = n.machine.MountStates()
	if n.c.Runs != nil {
		s.Runs = n.c.Runs()
	}
	if err := n.Ready(); err != nil {
		s.NotReady = err.Error()
	}
	return s
}

func (n *Node) serveState(context.Context, string, []byte) (reply, error) {
	return jsonReply(n.state())
}

// Status asks all members, for a second at most, and returns what it heard. With
// digest it also has each hash its state, until ctx is done.
func (n *Node) Status(ctx context.Context, digest bool) Status {
	im := n.machine.Image()
	members := map[string]fsm.Member{}
	for _, m := range im.Members() {
		members[m.ID] = m
	}
	s := Status{ClusterID: n.self.cluster(), NodeID: n.id, Term: n.raft.CurrentTerm(),
		CommitIndex: n.raft.CommitIndex(), AppliedIndex: im.Index, Level: fsm.LevelOf(im.View), NodePort: n.c.port()}
	im.Release()
	_, id := n.raft.LeaderWithID()
	s.LeaderID = string(id)
	servers := n.configuration().Servers
	s.Nodes = make([]NodeStatus, len(servers))
	var wg sync.WaitGroup
	for i, sv := range servers {
		m := members[string(sv.ID)]
		s.Nodes[i] = NodeStatus{ID: string(sv.ID), RaftAddress: string(sv.Address), HTTPAddress: m.HTTP, Role: roleOf(sv), Standby: m.Standby}
		wg.Go(func() { n.ask(ctx, &s.Nodes[i]) })
	}
	wg.Wait()
	slices.SortFunc(s.Nodes, func(a, b NodeStatus) int { return strings.Compare(a.ID, b.ID) })
	if digest {
		n.addDigests(ctx, &s)
	}
	return s
}

func (n *Node) ask(ctx context.Context, s *NodeStatus) {
	asked := time.Now()
	st, ok := n.askState(ctx, s.ID)
	took := time.Since(asked)
	if !ok {
		s.State, s.LastContact = "unreachable", -1
		if since := n.contacts.since(s.ID); !since.IsZero() {
			since = since.UTC().Truncate(time.Millisecond)
			s.Unreachable = &since
		}
		return
	}
	s.State, s.LastContact, s.AppliedIndex = st.State, st.Contact, st.Applied
	s.Version, s.NotReady, s.Missing, s.AppendP99 = st.Version, st.NotReady, st.Missing, st.Append
	s.DiskFree, s.DiskSize = st.DiskFree, st.DiskSize
	if st.Expires > 0 {
		expires := time.Unix(st.Expires, 0).UTC()
		s.CertExpires = &expires
	}
	if st.Started > 0 {
		started := time.UnixMilli(st.Started).UTC()
		s.Started, s.Uptime = &started, (st.Now-st.Started)/1000
		// Its answer was made about half way.
		s.Clock = st.Now - asked.Add(took/2).UnixMilli()
	}
}

// Ready returns nil when the node knows a leader, has applied all but the last
// thousand entries that it knows to be committed, and its configured mounts
// are up. The error says what is not so.
func (n *Node) Ready() error {
	if err := n.Serves(); err != nil {
		return err
	}
	return n.mounts.settled()
}

// errRemoved is the answer of a node that is a member no more.
var errRemoved = vfs.Unavailable.With("this node was removed from the cluster: ask another one")
