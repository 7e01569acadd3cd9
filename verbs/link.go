package verbs

import (
	"context"
	"errors"
	"io/fs"
	"path"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

func (a *app) ln() *cobra.Command {
	var symbolic, force, verbose, plain bool
	c := &cobra.Command{Use: "ln -s target… link", Short: "Make symbolic links", Args: cobra.MinimumNArgs(1),
		Long: `Makes a symbolic link to the target, which is kept as it is given: a relative one
counts from where the link is, and need not be there. A link that is a directory
takes a link of the target's name; without a link, that is the current one. There
are no hard links.`,
		Example: "  pfs ln -s /memfs/v2 /memfs/current\n  pfs ln -sfn v3 /memfs/current"}
	f := c.Flags()
	f.BoolVarP(&symbolic, "symbolic", "s", false, "a symbolic link, the only kind that there is")
	f.BoolVarP(&force, "force", "f", false, "in the place of a file or link")
	f.BoolVarP(&plain, "no-dereference", "n", false, "a link to a directory is a name to replace, not that directory")
	f.BoolVarP(&verbose, "verbose", "v", false, "tell what is made")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if !symbolic {
			return &cli.Hinted{Code: cli.ExitUsage, Text: "ln: a file has one name; hard links cannot be made", Hint: "make a symbolic link with: pfs ln -s"}
		}
		targets, at := args[:max(1, len(args)-1)], "."
		if len(args) > 1 {
			at = args[len(args)-1]
		}
		for _, arg := range args {
			if err := cli.Named(arg); err != nil {
				return err
			}
		}
		at = a.Remote(at)
		return a.With(cmd, func(ctx context.Context, c *client.Client) error {
			i, err := c.Stat(ctx, at)
			dir := err == nil && i.IsDir && !(plain && i.IsLink())
			if len(targets) > 1 && !dir {
				return cli.Usage("%s is not a directory", at)
			}
			var failed cli.Partial
			for _, to := range targets {
				p := at
				if dir {
					p = path.Join("/", at, path.Base(to))
				}
				err := linkAt(ctx, c, to, p, force)
				if err != nil && len(targets) == 1 {
					return err
				}
				failed.Add(err)
				if err != nil {
					a.Say("pfs: %s", cli.Explain(err))
				} else if verbose {
					a.Printf("link %s -> %s\n", cli.Plain(p), cli.Plain(to))
				}
			}
			return failed.Result()
		})
	}
	return c
}

// linkAt makes a link, by force in the place of a file or another link.
func linkAt(ctx context.Context, c *client.Client, to, p string, force bool) error {
	err := c.Symlink(ctx, to, p)
	if !force || !errors.Is(err, fs.ErrExist) {
		return err
	}
	if i, serr := c.Stat(ctx, p); serr == nil && i.IsDir && !i.IsLink() {
		return err
	}
	return relink(ctx, c, to, p)
}
