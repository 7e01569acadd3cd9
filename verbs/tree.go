package verbs

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// drawer draws a tree.
type drawer struct {
	app            *app
	w              *bufio.Writer
	depth          int
	dirsOnly, dots bool
	noReport       bool
	dirs, files    int
	lead           []string // by depth, what stands before that is below the last one drawn
}

func (a *app) tree() *cobra.Command {
	d := drawer{app: a}
	c := &cobra.Command{Use: "tree [path…]", Short: "Draw directories and what is below them",
		Example: "  pfs tree -L 2 /\n  pfs tree -d /memfs"}
	f := c.Flags()
	f.IntVarP(&d.depth, "level", "L", -1, "no deeper than this; -1: all")
	f.BoolVarP(&d.dirsOnly, "directories", "d", false, "directories alone")
	f.BoolVarP(&d.dots, "all", "a", false, "also names that start with a dot")
	f.BoolVar(&d.noReport, "noreport", false, "without the count at the end")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			args = []string{a.here()}
		}
		d.w = bufio.NewWriter(a.Stdout)
		err := a.EachArg(cmd, args, d.draw)
		if !d.noReport && (err == nil || d.dirs+d.files > 0) && !a.JSON() {
			d.report()
		}
		return errors.Join(err, d.w.Flush())
	}
	return c
}

// here is what a command works on that was given no path.
func (a *app) here() string {
	if a.Dir == "" || a.Dir == "/" {
		return "/"
	}
	return "."
}

// draw draws the tree of an argument, or with --json prints the paths and what they
// are, one object a line.
func (d *drawer) draw(ctx context.Context, c *client.Client, arg string) error {
	w := walker{app: d.app, c: c, depth: d.depth, leave: d.leaves}
	line := func(f found) error { return d.line(ctx, c, f) }
	if d.app.JSON() {
		line = func(f found) error { return d.app.Line(placed{f.path, f.info}) }
	}
	return cmp.Or(w.tree(ctx, arg, line), w.failed.Result())
}

// leaves reports whether a file is not drawn.
func (d *drawer) leaves(i client.Info) bool {
	return d.dirsOnly && !i.IsDir || !d.dots && strings.HasPrefix(i.Name, ".")
}

// line draws one file, behind the lines that lead to it.
func (d *drawer) line(ctx context.Context, c *client.Client, f found) error {
	if f.depth == 0 {
		d.w.WriteString(cli.Plain(f.at) + "\n")
		return nil
	}
	d.lead = append(d.lead[:f.depth-1], "│   ")
	mark := "├── "
	if f.last {
		d.lead[f.depth-1], mark = "    ", "└── "
	}
	name := shown(f.info, d.app.Script)
	if f.info.IsLink() {
		if target, err := c.Readlink(ctx, f.path); err == nil { // it may be gone by now
			name = cli.Plain(f.info.Name + " -> " + target)
		}
	}
	d.w.WriteString(strings.Join(d.lead[:f.depth-1], "") + mark + name + "\n")
	if f.info.IsDir {
		d.dirs++
	} else {
		d.files++
	}
	return nil
}

func (d *drawer) report() {
	d.w.WriteString("\n" + count(d.dirs, "directory", "directories"))
	if !d.dirsOnly {
		d.w.WriteString(", " + count(d.files, "file", "files"))
	}
	d.w.WriteString("\n")
}

// count is a number of things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
