package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// probeTime bounds a probe without --timeout.
const probeTime = 5 * time.Second

func (a *app) probe() *cobra.Command {
	return &cobra.Command{Use: "probe [ready|live]", Short: "Ask a node whether it serves, or lives; for supervisors", Args: cobra.MaximumNArgs(1),
		Long: `Asks the first node of --url once. "ready", the default: it knows a leader,
has caught up and has asked for its configured mounts. "live": its loops turn; a lost quorum does not count, since a
restart would not bring it back. The exit code is 0 if so, and 5 if not.`,
		ValidArgs: []string{"ready", "live"},
		RunE: func(cmd *cobra.Command, args []string) error {
			name := optional(args)
			switch name {
			case "", "ready":
				name = "readyz"
			case "live":
				name = "livez"
			default:
				return cli.Usage("a probe is ready or live, not %s", name)
			}
			if a.Timeout == 0 {
				a.Timeout = probeTime
			}
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				if err := c.Probe(ctx, name); err != nil {
					return err
				}
				if !a.Quiet {
					a.Printf("ok\n")
				}
				return nil
			})
		}}
}
