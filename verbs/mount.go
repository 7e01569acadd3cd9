package verbs

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

func (a *app) mount() *cobra.Command {
	return &cobra.Command{Use: "mount type path [key=value…]", Short: "Mount a plugin", Args: cobra.MinimumNArgs(2),
		Long:    "Mounts a plugin with settings. A value that is a JSON array or object is sent as such, any other as text.",
		Example: "  pfs mount memfs /scratch\n  pfs mount memfs /home 'init_dirs=[\"/me\"]'",
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := cli.Settings(args[2:])
			if err != nil {
				return err
			}
			p, err := a.Path(args[1])
			if err != nil {
				return err
			}
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				return c.Mount(ctx, args[0], p, config)
			})
		}}
}

func (a *app) unmount() *cobra.Command {
	return &cobra.Command{Use: "unmount path…", Aliases: []string{"umount"}, Short: "Detach mounts; their state is kept", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Each(cmd, args, func(ctx context.Context, c *client.Client, p string) error {
				return c.Unmount(ctx, p)
			})
		}}
}

func (a *app) mounts() *cobra.Command {
	return &cobra.Command{Use: "mounts", Short: "List the mount table", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				mounts, err := c.Mounts(ctx)
				if err != nil {
					return err
				}
				if a.JSON() {
					return a.Encode(append([]client.Mount{}, mounts...)) // never null
				}
				w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
				for _, m := range mounts {
					fmt.Fprintln(w, strings.TrimRight(cli.Plain(m.Path)+"\t"+m.Type+"\t"+m.Status+"\t"+cli.Plain(m.Error), "\t"))
				}
				return w.Flush()
			})
		}}
}
