package api

import (
	"encoding/hex"
	"strconv"

	"github.com/pfs-project/pfs/vfs"
)

// cluster answers GET /cluster: the members as this node sees them.
func (c *call) cluster() error {
	if c.s.cfg.Cluster == nil {
		return c.json(200, map[string]any{"node_id": c.s.cfg.Node.ID(), "nodes": []any{}})
	}
	return c.json(200, c.s.cfg.Cluster())
}

// stateDigest answers hashes of the replicated state at an index: of what was
// written, and of what is the cluster's own.
func (c *call) stateDigest() error {
	index := uint64(0)
	if v, ok := c.query.get("index"); ok {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return vfs.Invalid.With("index must be a number")
		}
		index = n
	}
	ctx, cancel := c.within()
	defer cancel()
	s, err := c.s.cfg.Node.Sums(ctx, index)
	if err != nil {
		return err
	}
	c.set("X-Pfs-Index", formatIndex(s.Index))
	return c.json(200, struct {
		Index  uint64 `json:"index"`
		Digest string `json:"digest"`
		Own    string `json:"own_digest"`
	}{s.Index, hex.EncodeToString(s.State[:]), hex.EncodeToString(s.Own[:])})
}
