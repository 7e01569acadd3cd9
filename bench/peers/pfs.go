package peers

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/pfs-project/pfs/bench"
	"github.com/pfs-project/pfs/bench/target"
	"github.com/pfs-project/pfs/client"
)

// PFS is nodes of PFS with what is measured of them beside their Target.
type PFS struct {
	target.Target
	// Follower and Linearizable read through one node that does not lead, from
	// its own state and as of now. They are nil on one node.
	Follower, Linearizable target.KV
}

// Where loads work.
const (
	files = bench.FilesMount
	queue = bench.QueueMount + "/bench"
)

// StartPFS starts nodes of PFS and waits until each serves. The clients are
// spread over them.
func StartPFS(ctx context.Context, s Site, nodes int) (*PFS, error) {
	cl, err := bench.StartCluster(ctx, s.PFS, filepath.Join(s.Dir, fmt.Sprintf("pfs%d", nodes)), nodes)
	if err != nil {
		return nil, err
	}
	p, err := pfs(ctx, cl.URLs, s.Clients)
	if err != nil {
		cl.Stop()
		return nil, err
	}
	p.Groups = cl.Groups()
	drop := p.Close
	p.Close = func() error { defer cl.Stop(); return drop() }
	return p, nil
}

// pfs is what the nodes at urls are to a load.
func pfs(ctx context.Context, urls []string, clients int) (*PFS, error) {
	t, err := bench.Server{URLs: urls, Files: files, Queue: queue}.Target(ctx, clients)
	if err != nil {
		return nil, err
	}
	t.Name = plural("PFS", len(urls))
	p := &PFS{Target: t}
	if len(urls) == 1 {
		return p, nil
	}
	one, err := follower(ctx, urls)
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	local, err := bench.Server{URLs: []string{one}, Files: files}.Target(ctx, clients)
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	now, err := bench.Server{URLs: []string{one}, Files: files, Consistency: "linearizable"}.Target(ctx, clients)
	if err != nil {
		return nil, errors.Join(err, local.Close(), t.Close())
	}
	p.Follower, p.Linearizable = local.KV, now.KV
	p.Close = func() error { return errors.Join(t.Close(), local.Close(), now.Close()) }
	return p, nil
}

// follower returns the first of the nodes that does not lead.
func follower(ctx context.Context, urls []string) (string, error) {
	for _, u := range urls {
		c, err := client.New(client.Config{URLs: []string{u}})
		if err != nil {
			return "", err
		}
		s, err := c.Cluster(ctx)
		c.Close()
		if err != nil {
			return "", err
		}
		if s.NodeID != "" && s.LeaderID != "" && s.NodeID != s.LeaderID {
			return u, nil
		}
	}
	return "", errors.New("no node says that it follows")
}

// plural is a name with the number of nodes.
func plural(name string, nodes int) string {
	if nodes == 1 {
		return name + ", one node"
	}
	return fmt.Sprintf("%s, %d nodes", name, nodes)
}
