package server

import (
	"context"

	"github.com/pfs-project/pfs/api"
	"github.com/pfs-project/pfs/cluster"
)

// members is the node's part in the cluster, as the API sees it.
type members struct{ n *cluster.Node }

var _ api.Cluster = members{}

// Status describes all members.
func (m members) Status(ctx context.Context, digest bool) any { return m.n.Status(ctx, digest) }

// Verify compares the state of all members.
func (m members) Verify(ctx context.Context) (any, error) { return m.n.Verify(ctx) }

// Manage does an Action.
func (m members) Manage(ctx context.Context, a api.Action) (any, error) {
	return m.n.Manage(ctx, cluster.Action(a))
}
