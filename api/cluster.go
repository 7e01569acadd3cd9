package api

import (
	"context"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// Times of questions that read the whole state.
const (
	statusDigestTime = 2 * time.Second
	verifyTime       = time.Minute
	maxVerifyTime    = 10 * time.Minute
)

// cluster answers GET /cluster: the members as this node sees them.
func (c *call) cluster() error {
	if c.s.cfg.Cluster == nil {
		return c.json(200, map[string]any{"node_id": c.s.cfg.Node.ID(), "nodes": []any{}})
	}
	ctx, cancel := context.WithTimeout(c.s.base, statusDigestTime)
	defer cancel()
	return c.json(200, c.s.cfg.Cluster.Status(ctx, c.is("digest")))
}

// verify answers GET /cluster/verify: whether all members hold the same.
func (c *call) verify() error {
	if c.s.cfg.Cluster == nil {
		return errNoCluster
	}
	d, err := c.duration("timeout", verifyTime, maxVerifyTime)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.s.base, d)
	defer cancel()
	out, err := c.s.cfg.Cluster.Verify(ctx)
	if err != nil {
		return err
	}
	return c.json(200, out)
}

// stateDigest answers hashes of the replicated state at an index: of what was
// written, and of what is the cluster's own; with mounts=true of each mount too.
func (c *call) stateDigest() error {
	index := uint64(0)
	if v, ok := c.query.get("index"); ok {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return vfs.Invalid.With("index must be a number")
		}
		index = n
	}
	ctx := c.within()
	defer ctx.End()
	s, mounts, err := c.sums(ctx, index)
	if err != nil {
		return err
	}
	c.set("X-Pfs-Index", formatIndex(s.Index))
	return c.json(200, struct {
		Index  uint64            `json:"index"`
		Digest string            `json:"digest"`
		Own    string            `json:"own_digest"`
		Mounts map[string]string `json:"mounts,omitempty"`
	}{s.Index, hex.EncodeToString(s.State[:]), hex.EncodeToString(s.Own[:]), mounts})
}

var errNoCluster = vfs.Unsupported.With("this server is not one of a cluster")

func (c *call) sums(ctx context.Context, index uint64) (s fsm.Sums, mounts map[string]string, err error) {
	if !c.is("mounts") {
		s, err = c.s.cfg.Node.Sums(ctx, index)
		return s, nil, err
	}
	s, of, err := c.s.cfg.Node.MountSums(ctx, index)
	mounts = map[string]string{}
	for _, m := range of {
		mounts[m.Name] = hex.EncodeToString(m.Sum[:])
	}
	return s, mounts, err
}
