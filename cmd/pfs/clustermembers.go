package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// waitStep is between two looks at a node that is waited for.
const waitStep = 500 * time.Millisecond

func (a *app) clusterAdd() *cobra.Command {
	var address string
	var nonVoter, wait bool
	c := &cobra.Command{Use: "add id", Short: "Add a node, or say how it is started", Args: cobra.ExactArgs(1),
		Long: `A node adds itself when it is started with the addresses of the others, and
gets a vote once it has caught up. Without --raft-address this prints the
command for that. With it the node is made a member before it is started, so
that it is known in "pfs cluster status", and --non-voter keeps it without a
vote whatever it is started with.`,
		Example: "  pfs cluster add n4\n  pfs cluster add n4 --raft-address 10.0.0.4:7946 --non-voter --wait",
		RunE: func(cmd *cobra.Command, args []string) error {
			if nonVoter && address == "" {
				return cli.Usage("--non-voter needs --raft-address; or start the node with -non-voter")
			}
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				s, err := c.Cluster(ctx)
				if err != nil {
					return err
				}
				how := startCommand(s, args[0], address)
				if address == "" {
					a.Printf("%s\n", how)
				} else {
					if err := a.changed(c.AddNode(ctx, args[0], address, !nonVoter)); err != nil {
						return err
					}
					if !a.Quiet && !wait {
						a.Say("start it with: %s", how)
					}
				}
				if !wait {
					return nil
				}
				return a.await(ctx, c, args[0], nonVoter)
			})
		}}
	c.Flags().StringVar(&address, "raft-address", "", "`HOST:PORT` that the other nodes dial")
	c.Flags().BoolVar(&nonVoter, "non-voter", false, "keep it without a vote")
	c.Flags().BoolVar(&wait, "wait", false, "wait until it has caught up; --timeout bounds that")
	return c
}

// startCommand is how a node is started so that it joins.
func startCommand(s client.Status, id, address string) string {
	var peers []string
	for _, n := range s.Nodes {
		if n.ID != id {
			peers = append(peers, n.RaftAddress)
		}
	}
	if address == "" {
		address = "HOST:PORT"
	}
	return fmt.Sprintf("pfs-server -node-id %s -raft-addr %s -join %s", cli.Plain(id), cli.Plain(address), cli.Plain(strings.Join(peers, ",")))
}

// changed prints what became of a change of members.
func (a *app) changed(c client.Change, err error) error {
	switch {
	case err != nil:
		return err
	case a.JSON():
		return a.Encode(c)
	}
	a.Printf("%s\n", cli.Plain(c.Message))
	return nil
}

// await waits until a node runs and has caught up, and unless it is to stay
// without, until it has a vote.
func (a *app) await(ctx context.Context, c *client.Client, id string, nonVoter bool) error {
	for {
		s, n, err := member(ctx, c, id)
		switch {
		case err != nil && vfs.KindOf(err) != vfs.NotFound:
			return err
		case err == nil && n.State != "unreachable" && n.NotReady == "" && (nonVoter || n.Role == "voter" || n.Standby):
			a.Printf("%s caught up (%d behind): %s\n", cli.Plain(id), lag(s, n), n.Role)
			return nil
		}
		if err := a.stillWaiting(ctx, s, n, err); err != nil {
			return err
		}
	}
}

// member finds a node in the status of the cluster.
func member(ctx context.Context, c *client.Client, id string) (s client.Status, n client.NodeStatus, err error) {
	if s, err = c.Cluster(ctx); err != nil {
		return s, n, err
	}
	for _, n := range s.Nodes {
		if n.ID == id {
			return s, n, nil
		}
	}
	return s, n, vfs.NotFound.Withf("no node %s in this cluster", id)
}

// stillWaiting says how far a node is, and waits a little.
func (a *app) stillWaiting(ctx context.Context, s client.Status, n client.NodeStatus, err error) error {
	text := ""
	switch {
	case err != nil:
		text = "not a member yet"
	case n.State == "unreachable":
		text = "does not answer yet"
	default:
		text = fmt.Sprintf("%d entries behind", lag(s, n))
	}
	if !a.Quiet {
		a.Say("%s %s", dash(n.ID), text)
	}
	select {
	case <-time.After(waitStep):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %s", ctx.Err(), text)
	}
}

func (a *app) clusterPromote() *cobra.Command {
	var wait bool
	c := &cobra.Command{Use: "promote id", Short: "Give a node a vote", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				for {
					ch, err := c.Promote(ctx, args[0])
					if !wait || vfs.KindOf(err) != vfs.Conflict {
						return a.changed(ch, err)
					}
					s, n, serr := member(ctx, c, args[0])
					if err := a.stillWaiting(ctx, s, n, serr); err != nil {
						return err
					}
				}
			})
		}}
	c.Flags().BoolVar(&wait, "wait", false, "wait until it has caught up; --timeout bounds that")
	return c
}

func (a *app) clusterRemove() *cobra.Command {
	var force bool
	c := &cobra.Command{Use: "remove id", Short: "Take a node out of the cluster; its data is kept", Args: cobra.ExactArgs(1),
		Long: `Takes a node out of the cluster. It need not run. If it runs it keeps what it
has, and answers reads and writes with 503: stop it, and empty its data directory
before you start it for another cluster.

It is refused if the voters that are left could not go on without it, or if it
may have the only copy of some content.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				return a.changed(c.RemoveNode(ctx, args[0], force))
			})
		}}
	c.Flags().BoolVar(&force, "force", false, "even if writes end, or content is lost")
	return c
}

func (a *app) clusterDemote() *cobra.Command {
	var force bool
	c := &cobra.Command{Use: "demote id", Short: "Take a node's vote; it stays a member", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				return a.changed(c.Demote(ctx, args[0], force))
			})
		}}
	c.Flags().BoolVar(&force, "force", false, "even if writes end")
	return c
}

// optional is the only argument, or "".
func optional(args []string) string { return strings.Join(args, "") }

func (a *app) clusterTransfer() *cobra.Command {
	var ifLeading bool
	var pause time.Duration
	c := &cobra.Command{Use: "transfer [id]", Short: "Hand leadership to a node, or to any other", Args: cobra.MaximumNArgs(1),
		Example: "  pfs cluster transfer n2\n  pfs --url http://127.0.0.1:8080 cluster transfer --if-leading --pause 5s  # before that node is stopped",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				leads := true
				if ifLeading {
					s, err := c.Cluster(ctx)
					if err != nil {
						return err
					}
					leads = s.LeaderID == s.NodeID
				}
				if leads {
					if err := a.changed(c.Transfer(ctx, optional(args))); err != nil {
						return err
					}
				}
				select {
				case <-time.After(pause):
				case <-ctx.Done():
				}
				return nil
			})
		}}
	c.Flags().BoolVar(&ifLeading, "if-leading", false, "only if the node that is asked leads; otherwise there is nothing to do")
	c.Flags().DurationVar(&pause, "pause", 0, "wait this long afterwards, so that a load balancer can take note")
	return c
}

func (a *app) clusterSnapshot() *cobra.Command {
	return &cobra.Command{Use: "snapshot [id]", Short: "Have a node, or the one asked, take a snapshot and cut its log", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				return a.changed(c.Snapshot(ctx, optional(args)))
			})
		}}
}
