package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

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
	err := c.json(ctx, call{method: http.MethodGet, route: "/api/v1/mounts", verb: "mounts", path: "/"}, &out)
	return out.Mounts, err
}

// Mount mounts a plugin at path.
func (c *Client) Mount(ctx context.Context, fstype, path string, config map[string]any) error {
	body := map[string]any{"fstype": fstype, "path": path}
	if len(config) > 0 {
		body["config"] = config
	}
	return c.change(ctx, http.MethodPost, "/mount", "mount", path, nil, body)
}

// Unmount detaches the mount at path.
func (c *Client) Unmount(ctx context.Context, path string) error {
	return c.change(ctx, http.MethodPost, "/unmount", "unmount", path, nil, map[string]string{"path": path})
}

// Status is the cluster as one node sees it.
type Status struct {
	ClusterID    string       `json:"cluster_id"`
	NodeID       string       `json:"node_id"`
	LeaderID     string       `json:"leader_id"`
	Term         uint64       `json:"term"`
	CommitIndex  uint64       `json:"commit_index"`
	AppliedIndex uint64       `json:"applied_index"`
	Nodes        []NodeStatus `json:"nodes"`
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
}

// Cluster returns the cluster as the asked node sees it.
func (c *Client) Cluster(ctx context.Context) (Status, error) {
	var s Status
	err := c.json(ctx, call{method: http.MethodGet, route: "/api/v1/cluster", verb: "cluster", path: "/"}, &s)
	return s, err
}

// Digest waits until the node has applied index (0: does not wait) and returns
// the hash of its replicated state and the index it belongs to.
func (c *Client) Digest(ctx context.Context, index uint64) (at uint64, digest string, err error) {
	q := url.Values{}
	if index > 0 {
		q.Set("index", strconv.FormatUint(index, 10))
	}
	var out struct {
		Index  uint64 `json:"index"`
		Digest string `json:"digest"`
	}
	err = c.json(ctx, call{method: http.MethodGet, route: "/api/v1/cluster/digest", query: q, verb: "digest", path: "/"}, &out)
	return out.Index, out.Digest, err
}

// Ready returns nil once the node is ready to serve.
func (c *Client) Ready(ctx context.Context) error {
	return c.json(ctx, call{method: http.MethodGet, route: "/api/v1/ready", verb: "ready", path: "/"}, nil)
}
