package verbs

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// conds are the conditions of a change.
type conds struct {
	match, key string
	absent     bool
	keyed      bool
}

// flags gives a command --if-match and --idempotency-key.
func (o *conds) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.match, "if-match", "", "only if the file still has this ETag")
	c.Flags().StringVar(&o.key, "idempotency-key", "", "a repeat with this key has the first one's outcome")
}

// options are those of the client; paths is how many files the command names.
func (o *conds) options(cmd *cobra.Command, paths int) ([]client.Option, error) {
	o.keyed = cmd.Flags().Changed("idempotency-key")
	var opts []client.Option
	switch {
	case o.match != "" && o.absent:
		return nil, cli.Usage("--if-match and --if-absent exclude each other")
	case paths > 1 && (o.match != "" || o.keyed):
		return nil, cli.Usage("--if-match and --idempotency-key are of one file, not of %d", paths)
	case o.match != "":
		opts = append(opts, client.IfMatch(o.match))
	case o.absent:
		opts = append(opts, client.IfAbsent())
	}
	if o.keyed {
		opts = append(opts, client.Key(o.key))
	}
	return opts, nil
}

// eachMatch is Each for all that patterns among the paths fit.
func (a *app) eachMatch(cmd *cobra.Command, args []string, do func(ctx context.Context, c *client.Client, p string) error) error {
	return a.eachThere(cmd, args, false, do)
}

// eachThere is eachMatch; force: that nothing fits is no failure.
func (a *app) eachThere(cmd *cobra.Command, args []string, force bool, do func(ctx context.Context, c *client.Client, p string) error) error {
	return a.With(cmd, func(ctx context.Context, c *client.Client) error {
		var failed cli.Partial
		note := func(err error) {
			failed.Add(err)
			if err != nil {
				a.Say("pfs: %s", cli.Explain(err))
			}
		}
		for _, arg := range args {
			err := cli.Named(arg)
			var found []string
			if err == nil {
				found, err = a.matches(ctx, c, a.Remote(arg))
			}
			if force && cli.Code(err) == cli.ExitNoFile {
				continue
			}
			if err != nil {
				if len(args) == 1 {
					return err
				}
				note(err)
			}
			for _, p := range found {
				err := do(ctx, c, p)
				if err != nil && (len(args) == 1 && len(found) == 1 || ctx.Err() != nil) {
					return err
				}
				note(err)
			}
		}
		return failed.Result()
	})
}

// agreed asks on stderr, and reports whether stdin says yes. An error is that of reading
// it, as after Ctrl-C.
func (a *app) agreed(format string, args ...any) (bool, error) {
	if a.answers == nil {
		a.answers = bufio.NewReader(a.Stdin)
	}
	a.Say(format, args...)
	line, err := a.answers.ReadString('\n')
	if err != nil && err != io.EOF { // no answer is no
		return false, err
	}
	line = strings.ToLower(strings.TrimSpace(line))
	return line == "y" || line == "yes", nil
}

func (a *app) mkdir() *cobra.Command {
	var parents, verbose bool
	var mode string
	c := &cobra.Command{Use: "mkdir path…", Short: "Make directories", Args: cobra.MinimumNArgs(1), SuggestFor: []string{"md"},
		Example: "  pfs mkdir -p /memfs/new/b/c\n  pfs mkdir -m 700 /memfs/mine"}
	c.Flags().BoolVarP(&parents, "parents", "p", false, "make parents too; an existing directory is fine")
	c.Flags().StringVarP(&mode, "mode", "m", "755", "permissions, octal")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "tell what is made")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := strconv.ParseUint(mode, 8, 12)
		if err != nil || m > 0o777 {
			return cli.Usage("--mode %s is not octal permissions such as 755", mode)
		}
		return a.Each(cmd, args, func(ctx context.Context, c *client.Client, p string) error {
			var err error
			if parents {
				err = mkdirAll(ctx, c, path.Clean("/"+p), uint32(m))
			} else {
				err = c.Mkdir(ctx, p, uint32(m))
			}
			if err == nil && verbose {
				a.Printf("mkdir %s\n", cli.Plain(p))
			}
			return err
		})
	}
	return c
}

// mkdirAll makes a directory and its parents; one that is there is fine. p is
// clean.
func mkdirAll(ctx context.Context, c *client.Client, p string, mode uint32) error {
	err := c.Mkdir(ctx, p, mode)
	if errors.Is(err, fs.ErrNotExist) && path.Dir(p) != p {
		if err := mkdirAll(ctx, c, path.Dir(p), 0o755); err != nil {
			return err
		}
		err = c.Mkdir(ctx, p, mode)
	}
	// The root of the tree and of a mount may be refused for other reasons.
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrInvalid) {
		if i, serr := c.Stat(ctx, p); serr == nil && i.IsDir {
			return nil
		}
	}
	return err
}
