package client

import (
	"context"
	"net/url"
	"time"
)

// Change is what became of a change of members.
type Change struct {
	Message string `json:"message"`             // in words
	ID      string `json:"id,omitempty"`        // of the node
	Role    string `json:"role,omitempty"`      // voter, non-voter, removed
	Leader  string `json:"leader_id,omitempty"` // who leads now
	Changed bool   `json:"changed"`             // false: it was so already
	Index   uint64 `json:"index,omitempty"`     // of the log: from there on it is so
}

// member is the body of a change of members.
type member struct {
	ID      string `json:"id,omitempty"`
	Address string `json:"raft_address,omitempty"`
	Voter   *bool  `json:"voter,omitempty"`
	Force   bool   `json:"force,omitempty"`
}

func (c *Client) manage(ctx context.Context, do string, m member) (Change, error) {
	k := post(do, "/cluster/"+do, "node "+m.ID).withJSON(m)
	k.again = true
	var out Change
	_, err := c.json(ctx, k, &out)
	return out, err
}

// AddNode makes a node a member without a vote; with voter it gets one by
// itself once it runs and has caught up.
func (c *Client) AddNode(ctx context.Context, id, raftAddress string, voter bool) (Change, error) {
	return c.manage(ctx, "join", member{ID: id, Address: raftAddress, Voter: &voter})
}

// RemoveNode takes a node out of the cluster. Without force it is an error of
// kind vfs.Conflict if that gives up a quorum or perhaps the only copy of some
// content.
func (c *Client) RemoveNode(ctx context.Context, id string, force bool) (Change, error) {
	return c.manage(ctx, "remove", member{ID: id, Force: force})
}

// Promote gives a node a vote; vfs.Conflict if it has not caught up.
func (c *Client) Promote(ctx context.Context, id string) (Change, error) {
	return c.manage(ctx, "promote", member{ID: id})
}

// Demote takes a node's vote. Without force it is vfs.Conflict if that gives up
// a quorum.
func (c *Client) Demote(ctx context.Context, id string, force bool) (Change, error) {
	return c.manage(ctx, "demote", member{ID: id, Force: force})
}

// Transfer hands leadership to a voter, or with "" to any other.
func (c *Client) Transfer(ctx context.Context, id string) (Change, error) {
	return c.manage(ctx, "transfer", member{ID: id})
}

// Snapshot has a node, or with "" the one that is asked, take a snapshot.
func (c *Client) Snapshot(ctx context.Context, id string) (Change, error) {
	return c.manage(ctx, "snapshot", member{ID: id})
}

// Verification compares the state of all members at one index.
type Verification struct {
	Index    uint64      `json:"index"`
	Match    bool        `json:"match"`    // all that answered hold the same
	Complete bool        `json:"complete"` // every member has answered
	Nodes    []NodeState `json:"nodes"`
}

// NodeState is the state of one member as hashes.
type NodeState struct {
	ID      string            `json:"id"`
	Digest  string            `json:"digest,omitempty"`     // of what was written
	Own     string            `json:"own_digest,omitempty"` // of what is the cluster's own
	Mounts  map[string]string `json:"mounts,omitempty"`
	Differs []string          `json:"differs,omitempty"` // mounts in which it is not as most others
	Error   string            `json:"error,omitempty"`   // why it has not answered
}

// Verify has all members hash their state at one index, for at most a time; 0
// is a minute.
func (c *Client) Verify(ctx context.Context, within time.Duration) (Verification, error) {
	k := ask("verify", "/cluster/verify")
	k.slow = true
	if within > 0 {
		k.query = url.Values{"timeout": {within.String()}}
	}
	var v Verification
	_, err := c.json(ctx, k, &v)
	return v, err
}
