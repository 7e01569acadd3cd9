package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// cluster is the group of the commands about the cluster itself.
func (a *app) cluster() *cobra.Command {
	c := &cobra.Command{Use: "cluster", Short: "Look at the cluster and run it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(
		a.clusterStatus(), a.clusterVerify(), a.clusterDoctor(),
		a.clusterAdd(), a.clusterRemove(), a.clusterPromote(), a.clusterDemote(), a.clusterTransfer(), a.clusterSnapshot(),
		a.clusterBackup(), a.clusterRestore(), a.clusterRecover(),
		a.initCerts(),
	)
	return c
}

func (a *app) clusterStatus() *cobra.Command {
	var digest bool
	c := &cobra.Command{Use: "status", Short: "Nodes, their roles and how far each has applied the log", Args: cobra.NoArgs,
		Long: `Shows all members as the node that is asked sees them: any node will do, and
others may be down. LAG is how many committed entries a node has not applied.
DIGEST is of what each holds at one entry of the log; "-" if that cannot be had
within two seconds. With -o json it is what GET /api/v1/cluster answers.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				get := c.Cluster
				if digest {
					get = c.ClusterDigests
				}
				s, err := get(ctx)
				if err != nil {
					return err
				}
				if a.JSON() {
					return a.Encode(s)
				}
				return a.showStatus(s)
			})
		}}
	c.Flags().BoolVar(&digest, "digest", true, "hash the state of each node, too")
	return c
}

func (a *app) showStatus(s client.Status) error {
	a.Printf("cluster %s  leader %s  term %d  commit %d  asked %s\n", s.ClusterID, dash(s.LeaderID), s.Term, s.CommitIndex, s.NodeID)
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tROLE\tSTATE\tAPPLIED\tLAG\tDIGEST\tVERSION\tUPTIME\tADDRESS")
	for _, n := range s.Nodes {
		if n.State == "unreachable" {
			fmt.Fprintf(w, "%s\t%s\t%s\t-\t-\t-\t-\t-\t%s\n", cli.Plain(n.ID), n.Role, n.State, dash(cli.Plain(n.HTTPAddress)))
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\n", cli.Plain(n.ID), n.Role, n.State, n.AppliedIndex, lag(s, n), dash(short(n.Digest)),
			dash(cli.Plain(n.Version)), time.Duration(n.Uptime)*time.Second, dash(cli.Plain(n.HTTPAddress)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, n := range s.Nodes {
		for _, note := range notes(n) {
			a.Printf("%s: %s\n", cli.Plain(n.ID), cli.Plain(note))
		}
	}
	return nil
}

// notes says what does not fit the table.
func notes(n client.NodeStatus) (out []string) {
	if n.Unreachable != nil {
		out = append(out, "unreachable since "+n.Unreachable.Format(time.RFC3339))
	}
	if n.NotReady != "" {
		out = append(out, "not ready: "+n.NotReady)
	}
	if n.Missing > 0 {
		out = append(out, fmt.Sprintf("%d chunks of content still to fetch", n.Missing))
	}
	if n.Standby && n.Role != "voter" {
		out = append(out, "stays without a vote until it is promoted")
	}
	return out
}

// lag is how many committed entries a node has not applied.
func lag(s client.Status, n client.NodeStatus) uint64 {
	return s.CommitIndex - min(s.CommitIndex, n.AppliedIndex)
}

// dash stands for what is not known.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// short is the beginning of a digest.
func short(digest string) string { return digest[:min(len(digest), 12)] }

func (a *app) clusterVerify() *cobra.Command {
	return &cobra.Command{Use: "verify", Short: "Compare what all nodes hold at one entry of the log", Args: cobra.NoArgs,
		Long: `Has every node hash its whole state at one entry of the log, while clients go on
reading and writing, and compares the hashes. It takes as long as reading the
state does; --timeout bounds it, a minute if it is not given.

Exit code 1 if nodes differ, 5 if a node has not answered.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				v, err := c.Verify(ctx, a.Timeout)
				if err != nil {
					return err
				}
				if a.JSON() {
					err = a.Encode(v)
				} else {
					err = a.showVerification(v)
				}
				if err != nil {
					return err
				}
				return verdict(v)
			})
		}}
}

func (a *app) showVerification(v client.Verification) error {
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tDIGEST\tOWN")
	for _, n := range v.Nodes {
		fmt.Fprintf(w, "%s\t%s\t%s\n", cli.Plain(n.ID), dash(short(n.Digest)), dash(short(n.Own)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, n := range v.Nodes {
		if n.Error != "" {
			a.Printf("%s: %s\n", cli.Plain(n.ID), cli.Plain(n.Error))
		}
		if len(n.Differs) > 0 {
			a.Printf("%s differs in %s\n", cli.Plain(n.ID), cli.Plain(strings.Join(n.Differs, ", ")))
		}
	}
	switch {
	case !v.Match && slices.ContainsFunc(v.Nodes, func(n client.NodeState) bool { return n.Error == "" }):
		a.Printf("DIVERGED at entry %d\n", v.Index)
	case v.Complete:
		a.Printf("MATCH at entry %d\n", v.Index)
	default:
		a.Printf("MATCH at entry %d, as far as nodes have answered\n", v.Index)
	}
	return nil
}

// verdict is the error that a comparison ends with; nil if all is well.
func verdict(v client.Verification) error {
	var differ, silent []string
	for _, n := range v.Nodes {
		if len(n.Differs) > 0 {
			differ = append(differ, n.ID)
		}
		if n.Error != "" {
			silent = append(silent, n.ID)
		}
	}
	switch {
	case len(differ) > 0:
		return &cli.Hinted{Code: cli.ExitFailure, Text: "nodes differ", Hint: "stop " + strings.Join(differ, ", ") +
			", keep its data directory elsewhere, and start it with an empty one: it fetches everything from the others"}
	case !v.Complete:
		return &cli.Hinted{Code: cli.ExitTemporary, Text: "not compared: " + strings.Join(silent, ", "), Hint: "start what is down, then repeat it"}
	}
	return nil
}
