package client

import (
	"context"
	"net/url"
)

// Health is what a node says of itself.
type Health struct {
	Status   string `json:"status"` // healthy, starting, degraded
	Version  string `json:"version"`
	Commit   string `json:"gitCommit"`
	Built    string `json:"buildTime"`
	Ready    bool   `json:"ready"`
	Degraded bool   `json:"degraded"`         // a mount is down
	Reason   string `json:"reason,omitempty"` // why it is not ready
	Mounts   struct {
		Total   int `json:"total"`
		Pending int `json:"pending"`
		Mounted int `json:"mounted"`
		Failed  int `json:"failed"`
	} `json:"mounts"`
}

// Health asks a node how it is; one that answers is no error. See [Client.Ready].
func (c *Client) Health(ctx context.Context) (h Health, err error) {
	_, err = c.json(ctx, ask("health", "/health"), &h)
	return h, err
}

// Capabilities are what a server can do, and what can be done at a path.
type Capabilities struct {
	Version  string          `json:"version"`
	Features []string        `json:"features"` // of the server: handlefs, grep, digest, stream, touch
	At       map[string]bool `json:"capabilities"`
}

// Capabilities asks what the server can do, and with a path other than "" what
// the mount there can: read, write, rename and so on.
func (c *Client) Capabilities(ctx context.Context, path string) (out Capabilities, err error) {
	k := ask("capabilities", "/capabilities")
	if path != "" {
		k.path, k.query = path, url.Values{"path": {path}}
	}
	_, err = c.json(ctx, k, &out)
	return out, err
}
