package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// Action is a change of who is in the cluster, or of who leads it.
type Action struct {
	Do      string `json:"do"`                // join, remove, promote, demote, transfer, snapshot
	ID      string `json:"id,omitempty"`      // of the node; transfer and snapshot may leave it open
	Address string `json:"address,omitempty"` // join: where the node is dialled
	Voter   bool   `json:"voter,omitempty"`   // join: it is to vote once it has caught up
	Force   bool   `json:"force,omitempty"`   // remove, demote: even if a quorum is given up
}

// Change is what became of an Action.
type Change struct {
	Message string `json:"message"`             // in words
	ID      string `json:"id,omitempty"`        // of the node
	Role    string `json:"role,omitempty"`      // voter, non-voter, removed
	Leader  string `json:"leader_id,omitempty"` // transfer: who leads now
	Changed bool   `json:"changed"`             // false: it was so already
	Index   uint64 `json:"index,omitempty"`     // of the log: from there on it is so
}

// turn lets one in at a time.
type turn chan struct{}

func (t turn) enter(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return vfs.Unavailable.With("another one is under way: try again")
	}
}

func (t turn) leave() { <-t }

// Manage does a, on the node that leads. What is so already is no error.
// Errors: Invalid; NotFound for a node that nobody knows; Conflict for what
// must not be done as things stand, with what to do first; Unavailable if
// there is no leader. An Action may be repeated.
func (n *Node) Manage(ctx context.Context, a Action) (Change, error) {
	if err := n.gate.enter(); err != nil {
		return Change{}, err
	}
	defer n.gate.leave()
	if err := a.check(); err != nil {
		return Change{}, err
	}
	if a.Do == "snapshot" {
		return n.snapshot(ctx, a)
	}
	if n.removed.Load() {
		return Change{}, errRemoved
	}
	ctx, cancel := context.WithTimeout(ctx, proposeTime)
	defer cancel()
	var cause error = errNoLeader
	for until := time.Now().Add(n.c.patience); time.Now().Before(until); {
		c, err := n.tryManage(ctx, a)
		var el *elsewhereError
		var ce *callError
		if !errors.As(err, &el) && !errors.As(err, &ce) {
			return c, err
		}
		if cause = err; !pause(ctx, retryPause) {
			break
		}
	}
	return Change{}, unavailable(cause)
}

func (n *Node) tryManage(ctx context.Context, a Action) (Change, error) {
	if n.reign.Load() != nil {
		return n.manage(ctx, a)
	}
	to, ok := n.leader()
	if !ok || to.id == n.id {
		return Change{}, &elsewhereError{n.noLeader()}
	}
	return n.askManage(ctx, to, a)
}

func (n *Node) askManage(ctx context.Context, to target, a Action) (c Change, err error) {
	b, err := json.Marshal(a)
	if err != nil {
		return c, err
	}
	if b, err = n.peers.call(ctx, to, short, callManage, b); err != nil {
		return c, err
	}
	return c, json.Unmarshal(b, &c)
}

func (n *Node) serveManage(ctx context.Context, _ string, b []byte) (reply, error) {
	var a Action
	if err := json.Unmarshal(b, &a); err != nil {
		return reply{}, vfs.Invalid.With("manage: bad request")
	}
	if err := a.check(); err != nil {
		return reply{}, err
	}
	do := n.manage
	if a.Do == "snapshot" {
		do = n.snapshotHere
	}
	c, err := do(ctx, a)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(c)
}

// check refuses what no cluster could do.
func (a Action) check() error {
	if len(a.ID) > maxID || strings.ContainsFunc(a.ID, func(r rune) bool { return r <= ' ' || r == 0x7f || string(r) == idMark }) {
		return vfs.Invalid.Withf("a node id has at most %d bytes and no spaces", maxID)
	}
	if a.ID == "" && a.Do != "transfer" && a.Do != "snapshot" {
		return vfs.Invalid.With("id is required")
	}
	if a.Do != "join" {
		return nil
	}
	host, port, err := net.SplitHostPort(a.Address)
	p, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || p == 0 || host == "" || net.ParseIP(host).IsUnspecified() || len(a.Address) > maxAddress {
		return vfs.Invalid.With("raft_address must be the host:port that the other nodes dial")
	}
	return nil
}

const maxAddress = 300 // bytes

// manage does a on this node, which leads.
func (n *Node) manage(ctx context.Context, a Action) (Change, error) {
	do := map[string]func(context.Context, Action, raft.Configuration) (Change, error){
		"join": n.addNode, "remove": n.removeNode, "promote": n.promoteNode, "demote": n.demoteNode, "transfer": n.transferTo,
	}[a.Do]
	if do == nil {
		return Change{}, vfs.Invalid.Withf("%q is none of join, remove, promote, demote, transfer, snapshot", a.Do)
	}
	if err := n.managing.enter(ctx); err != nil {
		return Change{}, err
	}
	defer n.managing.leave()
	if n.reign.Load() == nil {
		return Change{}, errNotLeader
	}
	c, err := do(ctx, a, n.configuration())
	if err == nil && c.Changed {
		n.c.Log.Info("members changed", "do", a.Do, "node", c.ID, "role", c.Role, "force", a.Force)
	}
	return c, raftError(err)
}

// raftError makes an error of raft one that tells what to do: the leader may
// have changed, and doing it again there is safe.
func raftError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipLost),
		errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return &elsewhereError{vfs.Unavailable.With(err.Error())}
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return vfs.Unavailable.With("the change of members before this one is not committed yet: try again")
	}
	return err
}

func unknownNode(id string) error {
	return vfs.NotFound.Withf("no node %s in this cluster: pfs cluster status lists them", id)
}

// setStandby has the log know whether a node is to stay without a vote.
func (n *Node) setStandby(ctx context.Context, id string, standby bool) error {
	if m := n.record(id); m == nil && !standby || m != nil && m.Standby == standby {
		return nil
	}
	op := vfs.Op{Verb: vfs.Member, Path: vfs.Root, Data: fsm.EncodeStandby(id, standby)}
	out, err := n.propose(ctx, vfs.Request{Ops: []vfs.Op{op}})
	if err == nil {
		err = out.Err
	}
	if err != nil {
		return fmt.Errorf("note it in the log: %w", err)
	}
	return nil
}

// snapshot has one node take a snapshot: this one, unless a names another.
func (n *Node) snapshot(ctx context.Context, a Action) (Change, error) {
	if a.ID == "" || a.ID == n.id {
		return n.snapshotHere(ctx, a)
	}
	if _, ok := serverOf(n.configuration(), a.ID); !ok {
		return Change{}, unknownNode(a.ID)
	}
	to, ok := n.book.find(a.ID)
	if !ok {
		return Change{}, unknownNode(a.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, proposeTime)
	defer cancel()
	c, err := n.askManage(ctx, to, a)
	var ce *callError
	if errors.As(err, &ce) {
		err = vfs.Unavailable.Withf("node %s does not answer: %v", a.ID, err)
	}
	return c, err
}

func (n *Node) snapshotHere(ctx context.Context, _ Action) (Change, error) {
	err := n.Snapshot(ctx)
	index, _ := strconv.ParseUint(n.raft.Stats()["last_snapshot_index"], 10, 64) // raft wrote it
	c := Change{Message: fmt.Sprintf("%s has a snapshot of entry %d", n.id, index), ID: n.id, Changed: err == nil, Index: index}
	if err != nil {
		err = vfs.Unavailable.With("snapshot: " + err.Error())
	}
	return c, err
}
