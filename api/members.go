package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// manageTime bounds a change of members; a snapshot may take long.
const (
	manageTime   = 10 * time.Second
	snapshotTime = time.Minute
)

// manage returns the handler of one kind of change of members. A field that it
// does not know may be a force that was mistyped: it is refused.
func manage(do string) func(*call) error {
	return func(c *call) error {
		if c.s.cfg.Cluster == nil {
			return errNoCluster
		}
		var in struct {
			ID      string `json:"id"`
			Address string `json:"raft_address"`
			Voter   *bool  `json:"voter"`
			Force   bool   `json:"force"`
		}
		b, err := c.all()
		if err != nil {
			return err
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil && err != io.EOF {
			return vfs.Invalid.Withf("invalid request body: %v", err)
		}
		if d.More() {
			return vfs.Invalid.With("invalid request body: more than one object")
		}
		if do != "join" && (in.Address != "" || in.Voter != nil) {
			return vfs.Invalid.With("raft_address and voter are for join")
		}
		if in.Force && do != "remove" && do != "demote" {
			return vfs.Invalid.Withf("%s knows no force", do)
		}
		limit := manageTime
		if do == "snapshot" {
			limit = snapshotTime
		}
		ctx, cancel := context.WithTimeout(c.s.base, limit)
		defer cancel()
		out, err := c.s.cfg.Cluster.Manage(ctx, Action{Do: do, ID: in.ID, Address: in.Address,
			Voter: in.Voter == nil || *in.Voter, Force: in.Force})
		if err != nil {
			return err
		}
		return c.json(200, out)
	}
}
