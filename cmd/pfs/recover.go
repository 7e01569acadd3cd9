package main

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cluster"
	"github.com/pfs-project/pfs/plugins"
)

func (a *app) clusterRecover() *cobra.Command {
	var r cluster.Recovery
	var peers []string
	c := &cobra.Command{Use: "recover --data-dir DIR --cluster-id ID", Short: "Go on with what is left after a quorum was lost for ever", Args: cobra.NoArgs,
		Long: `Makes a cluster of what one stopped node has, when so many nodes are lost for
ever that those left are no quorum. Do it only then: a node that still runs
somewhere, or comes back, has another history from here on.

All entries in the log of the node become part of the state, also those that no
quorum had agreed on and nobody was told of. What only the lost nodes had is
lost. The cluster gets a new id, so that the others cannot come back with what
they hold: empty their data directories, and they join as new nodes.

Without --peers the node is the only voter. When several nodes are left, stop
them all and do it on each, with the same --peers: the one that has most leads.

--cluster-id is the present id, which "pfs cluster status" has shown and
node.json has.`,
		Example: "  pfs cluster recover --data-dir /var/lib/pfs --cluster-id 3f9c…\n  pfs cluster recover --data-dir /var/lib/pfs --cluster-id 3f9c… --peers n1=10.0.0.1:7946,n2=10.0.0.2:7946",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.Dir == "" || r.Cluster == "" {
				return cli.Usage("--data-dir and --cluster-id are needed")
			}
			for _, p := range peers {
				id, addr, ok := strings.Cut(p, "=")
				if !ok || id == "" || addr == "" {
					return cli.Usage("--peers %s: want id=host:port", p)
				}
				r.Peers = append(r.Peers, cluster.Peer{ID: id, Address: addr})
			}
			r.Plugins, r.Log = plugins.Builtin(nil), slog.New(slog.NewTextHandler(a.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
			done, err := cluster.Recover(cmd.Context(), r)
			if errors.Is(err, cluster.ErrLocked) {
				err = &cli.Hinted{Code: cli.ExitConflict, Text: err.Error(), Hint: "stop the node that uses it"}
			}
			if err != nil {
				return err
			}
			return a.showRecovered(done)
		}}
	f := c.Flags()
	f.StringVar(&r.Dir, "data-dir", "", "data directory `DIR` of the node, which must not run")
	f.StringVar(&r.Cluster, "cluster-id", "", "present `ID` of the cluster, to show that it is meant")
	f.StringVar(&r.Node, "node-id", "", "refuse unless the directory is that of node `ID`")
	f.StringSliceVar(&peers, "peers", nil, "all voters from now on, `ID=HOST:PORT,...`; default: this node alone")
	return c
}

func (a *app) showRecovered(r cluster.Recovered) error {
	var voters, lost []string
	left := map[string]bool{}
	for _, p := range r.Voters {
		voters = append(voters, p.ID+" "+p.Address)
		left[p.ID] = true
	}
	for _, p := range r.Before {
		if !left[p.ID] {
			lost = append(lost, p.ID)
		}
	}
	a.Say("WARNING: what the log of this node had is the state now, up to entry %d, also what no quorum had agreed on", r.Index)
	if r.Missing > 0 {
		a.Say("WARNING: %d chunks of content are not on this node; files with them cannot be read unless another node brings them", r.Missing)
	}
	if len(lost) > 0 {
		a.Say("WARNING: empty the data directories of %s before they start again", strings.Join(lost, ", "))
	}
	if a.JSON() {
		return a.Encode(r)
	}
	a.Printf("recovered at index %d: cluster %s is now %s\nvoters: %s\n", r.Index, r.Was, r.Cluster, strings.Join(voters, ", "))
	return nil
}
