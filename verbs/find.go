package verbs

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// finder is one run of find.
type finder struct {
	app      *app
	ctx      context.Context
	c        *client.Client
	min, max int
	match    test
	acts     bool // an action is in the expression; without one what matches is printed
	depth    bool // directories after what is in them
	prune    bool // of the file at hand
	ends     []func() error
	server   []string // what -exec runs is told of it
	failed   bool     // an action did, and it was told
}

func (a *app) find() *cobra.Command {
	c := &cobra.Command{Use: "find [path…] [expression]", Short: "Find files by name, type, size and age", DisableFlagParsing: true,
		Long: `Walks the paths and tests each file with the expression, as POSIX has it. What
matches is printed, unless the expression has an action.

  -name GLOB   -iname GLOB   -path GLOB   the last element of the path, or all of it
  -type f|d|l                             file, directory, link
  -size [+-]N[ckMG]                       in blocks of 512 bytes, bytes, KiB, MiB, GiB
  -mtime [+-]DAYS   -mmin [+-]MINUTES     changed that long ago
  -newer PATH   -empty                    changed after PATH; empty
  -maxdepth N   -mindepth N   -depth      how deep; what is in directories first
  -print   -print0   -prune   -delete
  -exec COMMAND {} ;   -exec COMMAND {} + run a command for each, or for many
  ! EXPR   EXPR -o EXPR   ( EXPR )

Flags of all commands, such as --url, come first. The commands of -exec are those of
this machine, in the shell of pfs those of the shell.`,
		Example: "  pfs find /memfs -name '*.go' -size +10k\n  pfs find /memfs -type d -empty -delete\n  pfs find /memfs -type f -mtime -1 -exec pfs wc -l {} +"}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		args, help, err := a.common(cmd, args)
		if err != nil {
			return err
		}
		if help {
			return cmd.Help()
		}
		f := &finder{app: a, max: -1}
		paths, err := f.parse(args)
		if err != nil {
			return err
		}
		return a.EachArg(cmd, paths, f.below)
	}
	return c
}

// common takes the flags of all commands from the front of the arguments of a command
// that takes its own apart.
func (a *app) common(cmd *cobra.Command, args []string) (rest []string, help bool, err error) {
	n := 0
	for n < len(args) && strings.HasPrefix(args[n], "--") {
		name, _, whole := strings.Cut(strings.TrimPrefix(args[n], "--"), "=")
		if f := cmd.InheritedFlags().Lookup(name); f != nil && !whole && f.NoOptDefVal == "" {
			n++
		}
		n++
	}
	if len(args) > 0 && args[0] == "--help" {
		return nil, true, nil
	}
	if n = min(n, len(args)); n > 0 {
		err = cmd.InheritedFlags().Parse(args[:n])
	}
	if err != nil {
		return nil, false, cli.UsageError{Err: err}
	}
	return args[n:], false, nil
}

// below finds what is in one tree.
func (f *finder) below(ctx context.Context, c *client.Client, arg string) error {
	f.ctx, f.c = ctx, c
	w := walker{app: f.app, c: c, depth: f.max}
	var err error
	if f.depth {
		err = f.deepFirst(&w, arg)
	} else {
		err = w.tree(ctx, arg, f.visit)
	}
	for _, end := range f.ends {
		err = errors.Join(err, end())
	}
	if err == nil {
		err = w.failed.Result()
	}
	if err == nil && f.failed {
		err = cli.Exit(cli.ExitFailure)
	}
	return err
}

// visit tests one file.
func (f *finder) visit(at found) error {
	if at.depth < f.min {
		return nil
	}
	f.prune = false
	ok, err := f.match(at)
	if err == nil && ok && !f.acts {
		err = f.print(at, "\n")
	}
	if err == nil && f.prune && at.info.IsDir && !at.info.IsLink() {
		return fs.SkipDir
	}
	return err
}

// deepFirst visits directories after what is in them: what is found is kept until
// then, the path from the top alone.
func (f *finder) deepFirst(w *walker, arg string) error {
	var open []found
	closeTo := func(depth int) error {
		for len(open) > 0 && open[len(open)-1].depth >= depth {
			last := open[len(open)-1]
			open = open[:len(open)-1]
			if err := f.visit(last); err != nil && !errors.Is(err, fs.SkipDir) {
				return err
			}
		}
		return nil
	}
	err := w.tree(f.ctx, arg, func(at found) error {
		if err := closeTo(at.depth); err != nil {
			return err
		}
		open = append(open, at)
		return nil
	})
	return errors.Join(err, closeTo(0))
}

// print prints one that matches.
func (f *finder) print(at found, end string) error {
	if f.app.JSON() {
		return f.app.Line(placed{at.path, at.info})
	}
	f.app.Printf("%s%s", at.at, end)
	return nil
}
