package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/client"
)

// cluster is the group of the commands about the cluster itself.
func (a *app) cluster() *cobra.Command {
	c := &cobra.Command{Use: "cluster", Short: "Look at the cluster and run it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(
		a.clusterStatus(),
		a.clusterBackup(),
		a.clusterRestore(),
	)
	return c
}

func (a *app) clusterStatus() *cobra.Command {
	return &cobra.Command{Use: "status", Short: "Nodes, their roles and how far each has applied the log", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, func(ctx context.Context, c *client.Client) error {
				s, err := c.Cluster(ctx)
				if err != nil {
					return err
				}
				if a.json() {
					return a.encode(s)
				}
				a.printf("cluster %s  term %d  commit %d  asked %s\n", s.ClusterID, s.Term, s.CommitIndex, s.NodeID)
				w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "NODE\tROLE\tSTATE\tAPPLIED\tCONTACT\tRAFT\tHTTP")
				for _, n := range s.Nodes {
					fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%dms\t%s\t%s\n", n.ID, n.Role, n.State, n.AppliedIndex, n.LastContact, n.RaftAddress, n.HTTPAddress)
				}
				return w.Flush()
			})
		}}
}
