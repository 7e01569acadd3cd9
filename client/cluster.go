package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ask is a call about the cluster itself.
func ask(verb, route string) call {
	return call{verb: verb, path: "/", method: http.MethodGet, route: route, header: http.Header{}}
}

// post is a call whose path stands in its body.
func post(verb, route, path string) call {
	return call{verb: verb, path: path, method: http.MethodPost, route: route, header: http.Header{}}
}

// Mount is one entry of the mount table.
type Mount struct {
	Path   string         `json:"path"`
	Type   string         `json:"pluginName"`
	Status string         `json:"status,omitempty"`
	Error  string         `json:"error,omitempty"`
	Config map[string]any `json:"config,omitempty"`
}

// Mounts returns the mount table, by path.
func (c *Client) Mounts(ctx context.Context) ([]Mount, error) {
	var out struct {
		Mounts []Mount `json:"mounts"`
	}
	_, err := c.json(ctx, ask("mounts", "/mounts"), &out)
	return out.Mounts, err
}

// Mount mounts a plugin at path.
func (c *Client) Mount(ctx context.Context, fstype, path string, config map[string]any) error {
	body := map[string]any{"fstype": fstype, "path": path}
	if len(config) > 0 {
		body["config"] = config
	}
	return c.change(ctx, post("mount", "/mount", path).withJSON(body), nil)
}

// Unmount detaches the mount at path.
func (c *Client) Unmount(ctx context.Context, path string) error {
	return c.change(ctx, post("unmount", "/unmount", path).withJSON(map[string]string{"path": path}), nil)
}

// Status is the cluster as one node sees it.
type Status struct {
	ClusterID    string       `json:"cluster_id"`
	NodeID       string       `json:"node_id"`
	LeaderID     string       `json:"leader_id"`
	Term         uint64       `json:"term"`
	CommitIndex  uint64       `json:"commit_index"`
	AppliedIndex uint64       `json:"applied_index"`
	FeatureLevel uint64       `json:"feature_level"`       // what all members know
	NodePort     string       `json:"node_port,omitempty"` // of the asked node: tls, loopback, plaintext
	Nodes        []NodeStatus `json:"nodes"`
	DigestIndex  uint64       `json:"digest_index,omitempty"` // what the digests of the nodes are of
}

// NodeStatus is one node of a Status.
type NodeStatus struct {
	ID           string `json:"id"`
	RaftAddress  string `json:"raft_address"`
	HTTPAddress  string `json:"http_address"`
	Role         string `json:"role"`            // voter, non-voter
	State        string `json:"state"`           // leader, follower, candidate, unreachable
	LastContact  int64  `json:"last_contact_ms"` // milliseconds
	AppliedIndex uint64 `json:"applied_index"`

	Standby     bool       `json:"standby,omitempty"`           // an operator wants it without a vote
	Unreachable *time.Time `json:"unreachable_since,omitempty"` // as far as the asked node knows
	Version     string     `json:"version,omitempty"`
	Started     *time.Time `json:"started,omitempty"`
	Uptime      int64      `json:"uptime_s,omitempty"`  // seconds
	NotReady    string     `json:"not_ready,omitempty"` // why; "" if it is ready
	Missing     int        `json:"missing_chunks"`      // that it has still to fetch
	DiskFree    int64      `json:"disk_free_bytes"`
	DiskSize    int64      `json:"disk_size_bytes"`
	AppendP99   float64    `json:"append_p99_ms"`          // of its last durable appends to the log
	Clock       int64      `json:"clock_ms"`               // ahead of the asked node's
	CertExpires *time.Time `json:"cert_expires,omitempty"` // of what it shows to the others
	Digest      string     `json:"digest,omitempty"`       // at the DigestIndex
}

// Cluster returns the cluster as the asked node sees it.
func (c *Client) Cluster(ctx context.Context) (Status, error) {
	var s Status
	_, err := c.json(ctx, ask("cluster", "/cluster"), &s)
	return s, err
}

// ClusterDigests is Cluster with the digest of each node, if all can be had
// within two seconds.
func (c *Client) ClusterDigests(ctx context.Context) (Status, error) {
	k := ask("cluster", "/cluster")
	k.query = url.Values{"digest": {"true"}}
	var s Status
	_, err := c.json(ctx, k, &s)
	return s, err
}

// Digest waits until the node has applied index (0: does not wait) and returns
// the hash of its replicated state and the index it belongs to.
func (c *Client) Digest(ctx context.Context, index uint64) (at uint64, digest string, err error) {
	s, err := c.Sums(ctx, index)
	return s.Index, s.Digest, err
}

// Sums are hashes of the replicated state. Nodes at one index have the same.
type Sums struct {
	Index  uint64 `json:"index"`
	Digest string `json:"digest"`     // of what was written; a backup carries it over
	Own    string `json:"own_digest"` // of what is this cluster's own: its id, its nodes, its counts
}

// Sums waits until the node has applied index (0: does not wait) and returns
// the hashes of its replicated state.
func (c *Client) Sums(ctx context.Context, index uint64) (Sums, error) {
	k := ask("digest", "/cluster/digest")
	if index > 0 {
		k.query = url.Values{"index": {strconv.FormatUint(index, 10)}}
	}
	var s Sums
	_, err := c.json(ctx, k, &s)
	return s, err
}

// Ready returns nil once the node is ready to serve.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.do(ctx, ask("ready", "/ready"))
	return err
}
