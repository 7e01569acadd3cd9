package verbs

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// lister is how ls lists.
type lister struct {
	app                                      *app
	long, all, human, byTime, bySize, upward bool
	almost, dirs, marks, recursive, unsorted bool
	lines                                    bool // always so; for habit's sake

	w     *bufio.Writer
	heads bool // directories have a heading
	begun bool // something was printed
}

func (a *app) ls() *cobra.Command {
	l := lister{app: a}
	c := &cobra.Command{Use: "ls [path…]", Short: "List directories, or describe files", SuggestFor: []string{"dir", "list"},
		Example: "  pfs ls -l /memfs\n  pfs ls -R /memfs/src\n  pfs ls -o json /"}
	f := c.Flags()
	f.Bool("help", false, "help for ls") // without -h, which ls has a use for
	f.BoolVarP(&l.long, "long", "l", false, "mode, size and time of each")
	f.BoolVarP(&l.all, "all", "a", false, "also names that start with a dot")
	f.BoolVarP(&l.almost, "almost-all", "A", false, "as -a: there are no entries . and ..")
	f.BoolVarP(&l.dirs, "directory", "d", false, "directories themselves, not what is in them")
	f.BoolVarP(&l.marks, "classify", "F", false, "/ behind directories, @ behind links")
	f.BoolVarP(&l.human, "human-readable", "h", false, "with -l: sizes as 1.5K, 2.0M")
	f.BoolVarP(&l.recursive, "recursive", "R", false, "also all directories below")
	f.BoolVarP(&l.byTime, "time", "t", false, "newest first")
	f.BoolVarP(&l.bySize, "size", "S", false, "largest first")
	f.BoolVarP(&l.unsorted, "unsorted", "U", false, "by name, whatever -t and -S say")
	f.BoolVarP(&l.upward, "reverse", "r", false, "the other way round")
	f.BoolVarP(&l.lines, "one", "1", false, "one name a line, as always")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			args = []string{a.here()}
		}
		l.all = l.all || l.almost
		l.w, l.heads = bufio.NewWriter(a.Stdout), len(args) > 1 || l.recursive
		return errors.Join(l.run(cmd, args), l.w.Flush())
	}
	return c
}

// run lists what is no directory first, then each directory.
func (l *lister) run(cmd *cobra.Command, args []string) error {
	var files []client.Info
	dirs := map[string][]client.Info{}
	err := l.app.EachArg(cmd, args, func(ctx context.Context, c *client.Client, arg string) error {
		infos, err := l.look(ctx, c, arg)
		if err == nil && infos == nil {
			var i client.Info
			if i, err = c.Stat(ctx, l.app.Remote(arg)); err == nil {
				i.Name = arg
				files = append(files, i)
			}
		} else if err == nil {
			dirs[arg] = infos
		}
		return err
	})
	if len(files) > 0 {
		perr := l.app.With(cmd, func(ctx context.Context, c *client.Client) error { return l.print(ctx, c, "", files) })
		err = cmp.Or(err, perr)
	}
	for _, arg := range args {
		infos, ok := dirs[arg]
		if !ok {
			continue
		}
		derr := l.app.With(cmd, func(ctx context.Context, c *client.Client) error { return l.dir(ctx, c, arg, infos) })
		err = cmp.Or(err, derr)
	}
	return err
}

// look returns what is in the directory that arg names, nil if it is none.
func (l *lister) look(ctx context.Context, c *client.Client, arg string) ([]client.Info, error) {
	if l.dirs {
		return nil, nil
	}
	infos, err := c.List(ctx, l.app.Remote(arg))
	if errors.Is(err, vfs.NotDirectory) {
		return nil, nil
	}
	return append([]client.Info{}, infos...), err // never null
}

// dir prints what is in a directory, and with -R in those below.
func (l *lister) dir(ctx context.Context, c *client.Client, arg string, infos []client.Info) error {
	if !l.all {
		infos = slices.DeleteFunc(infos, func(i client.Info) bool { return strings.HasPrefix(i.Name, ".") })
	}
	l.sort(infos)
	if l.begun && !l.app.JSON() {
		fmt.Fprintln(l.w)
	}
	if l.heads && !l.app.JSON() {
		fmt.Fprintf(l.w, "%s:\n", cli.Plain(arg))
	}
	if err := l.print(ctx, c, arg, infos); err != nil || !l.recursive {
		return err
	}
	var failed cli.Partial
	for _, i := range infos {
		if !i.IsDir || i.IsLink() {
			continue
		}
		at := below(arg, i.Name)
		sub, err := c.List(ctx, l.app.Remote(at))
		if err == nil {
			err = l.dir(ctx, c, at, append([]client.Info{}, sub...))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed.Add(err)
		if err != nil {
			l.app.Say("pfs: %s", cli.Explain(err))
		}
	}
	return failed.Result()
}

func (l *lister) sort(infos []client.Info) {
	switch {
	case l.unsorted:
	case l.byTime:
		slices.SortStableFunc(infos, func(a, b client.Info) int { return b.ModTime.Compare(a.ModTime) })
	case l.bySize:
		slices.SortStableFunc(infos, func(a, b client.Info) int { return cmp.Compare(b.Size, a.Size) })
	}
	if l.upward {
		slices.Reverse(infos)
	}
}

// print prints what is in dir, or with dir "" what is named.
func (l *lister) print(ctx context.Context, c *client.Client, dir string, infos []client.Info) error {
	l.begun = true
	switch {
	case l.app.JSON():
		return l.app.Encode(infos)
	case l.long:
		return l.table(ctx, c, dir, infos)
	}
	for _, i := range infos {
		fmt.Fprintln(l.w, l.name(i))
	}
	return nil
}

// name is a name as it is listed.
func (l *lister) name(i client.Info) string {
	switch {
	case l.marks && i.IsLink():
		return cli.Plain(i.Name) + "@"
	case l.marks:
		return shown(i, false)
	}
	return shown(i, l.app.Script)
}

func (l *lister) table(ctx context.Context, c *client.Client, dir string, infos []client.Info) error {
	t := tabwriter.NewWriter(l.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, i := range infos {
		size, name := strconv.FormatInt(i.Size, 10), l.name(i)
		if l.human {
			size = cli.SizeText(i.Size)
		}
		if i.IsLink() {
			if target, err := c.Readlink(ctx, l.app.Remote(below(dir, i.Name))); err == nil { // it may be gone by now
				name = cli.Plain(i.Name + " -> " + target)
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t %s\n", modeText(i), size, i.ModTime.Local().Format("2006-01-02 15:04"), name)
	}
	return t.Flush()
}

// shown is a name as a terminal may have it, with a slash behind directories unless
// it is bare.
func shown(i client.Info, bare bool) string {
	if i.IsDir && !bare {
		return strings.TrimSuffix(cli.Plain(i.Name), "/") + "/"
	}
	return cli.Plain(i.Name)
}

func modeText(i client.Info) string {
	m := fs.FileMode(i.Mode) & fs.ModePerm
	switch {
	case i.IsLink():
		return "l" + m.String()[1:]
	case i.IsDir:
		return "d" + m.String()[1:]
	}
	return m.String()
}
