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

// remover is how rm removes.
type remover struct {
	app                            *app
	recursive, force, verbose, dry bool
	ask                            bool
	opts                           []client.Option
}

func (a *app) rm() *cobra.Command {
	r := &remover{app: a}
	var when conds
	var upper bool
	c := &cobra.Command{Use: "rm path…", Short: "Remove files, links and directories", Args: cobra.MinimumNArgs(1),
		SuggestFor: []string{"del", "delete", "remove", "unlink"},
		Long: `Removes files and links, empty directories, and with -r directories with all below
them, which go at once. Patterns in quotes fit names on the server. The root and
mounts are refused: a mount is detached by pfs unmount.`,
		Example: "  pfs rm /memfs/a\n  pfs rm -r /memfs/src\n  pfs rm -v '/memfs/*.log'\n  pfs rm -f /memfs/gone"}
	f := c.Flags()
	f.BoolVarP(&r.recursive, "recursive", "r", false, "directories and all below them")
	f.BoolVarP(&upper, "Recursive", "R", false, "as -r")
	f.BoolVarP(&r.force, "force", "f", false, "a missing file is fine")
	f.BoolVarP(&r.verbose, "verbose", "v", false, "tell what is removed")
	f.BoolVarP(&r.dry, "dry-run", "n", false, "only tell what would be removed")
	f.BoolVarP(&r.ask, "interactive", "i", false, "ask before each; an answer that starts with y is yes")
	when.flags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		r.recursive = r.recursive || upper
		var err error
		if r.opts, err = when.options(cmd, len(args)); err != nil {
			return err
		}
		return a.eachThere(cmd, args, r.force, r.remove)
	}
	return c
}

// remove removes one path.
func (r *remover) remove(ctx context.Context, c *client.Client, p string) error {
	if path.Clean("/"+p) == "/" {
		return &cli.Hinted{Code: cli.ExitPermission, Text: "remove /: the root of the tree stays", Hint: "name what is to go, as pfs rm -r '/memfs/*'"}
	}
	if r.ask {
		if yes, err := r.app.agreed("remove %s? [y/N]", p); err != nil || !yes {
			return err
		}
	}
	if r.dry {
		if _, err := c.Stat(ctx, p); err != nil && !(r.force && errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	} else {
		remove := c.Remove
		if r.recursive {
			remove = c.RemoveAll
		}
		err := remove(ctx, p, r.opts...)
		if r.force && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return mountPoint(ctx, c, p, err)
		}
	}
	if r.verbose || r.dry {
		r.app.Printf("delete %s\n", cli.Plain(p))
	}
	return nil
}

// mountPoint adds to an error that p is a mount what to do with it.
func mountPoint(ctx context.Context, c *client.Client, p string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	mounts, merr := c.Mounts(ctx)
	for _, m := range mounts {
		if merr == nil && m.Path == path.Clean("/"+p) {
			return &cli.Hinted{Code: cli.ExitPermission, Text: cli.Explain(err), Hint: "it is a mount; detach it with: pfs unmount " + m.Path}
		}
	}
	return err
}

func (a *app) rmdir() *cobra.Command {
	var parents, verbose bool
	c := &cobra.Command{Use: "rmdir path…", Short: "Remove empty directories", Args: cobra.MinimumNArgs(1),
		Long:    "Removes directories that are empty. Patterns in quotes fit names on the server.",
		Example: "  pfs rmdir /memfs/home\n  pfs rmdir -p /memfs/dir"}
	c.Flags().BoolVarP(&parents, "parents", "p", false, "also the directories of the path, from the last on")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "tell what is removed")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.eachMatch(cmd, args, func(ctx context.Context, c *client.Client, p string) error {
			for p = path.Clean("/" + p); p != "/"; p = path.Dir(p) {
				i, err := c.Stat(ctx, p)
				switch {
				case err != nil:
					return err
				case !i.IsDir || i.IsLink():
					return cli.Usage("%s is not a directory", p)
				}
				if err := c.Remove(ctx, p); err != nil {
					return mountPoint(ctx, c, p, err)
				}
				if verbose {
					a.Printf("delete %s\n", cli.Plain(p))
				}
				if !parents || a.isMount(ctx, c, path.Dir(p)) {
					return nil
				}
			}
			return nil
		})
	}
	return c
}

// isMount reports whether a path is where something is mounted.
func (a *app) isMount(ctx context.Context, c *client.Client, p string) bool {
	mounts, err := c.Mounts(ctx)
	for _, m := range mounts {
		if err == nil && m.Path == p {
			return true
		}
	}
	return false
}
