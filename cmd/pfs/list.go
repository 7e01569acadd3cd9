package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// lister is how ls lists.
type lister struct {
	app                                      *app
	long, all, human, byTime, bySize, upward bool
	lines                                    bool // always so; for habit's sake
}

func (a *app) ls() *cobra.Command {
	l := lister{app: a}
	c := &cobra.Command{Use: "ls [path…]", Short: "List directories, or describe files", SuggestFor: []string{"dir", "list"}}
	f := c.Flags()
	f.Bool("help", false, "help for ls") // without -h, which ls has a use for
	f.BoolVarP(&l.long, "long", "l", false, "mode, size and time of each")
	f.BoolVarP(&l.all, "all", "a", false, "also names that start with a dot")
	f.BoolVarP(&l.human, "human-readable", "h", false, "with -l: sizes as 1.5K, 2.0M")
	f.BoolVarP(&l.byTime, "time", "t", false, "newest first")
	f.BoolVarP(&l.bySize, "size", "S", false, "largest first")
	f.BoolVarP(&l.upward, "reverse", "r", false, "the other way round")
	f.BoolVarP(&l.lines, "one", "1", false, "one name a line, as always")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			args = []string{"/"}
		}
		n := 0
		return a.each(cmd, args, func(ctx context.Context, c *client.Client, p string) error {
			n++
			return l.list(ctx, c, p, len(args) > 1, n > 1)
		})
	}
	return c
}

// list lists one path; one of several has a heading over it.
func (l *lister) list(ctx context.Context, c *client.Client, p string, several, later bool) error {
	infos, err := c.List(ctx, p)
	file := errors.Is(err, vfs.NotDirectory)
	if file {
		var i client.Info
		if i, err = c.Stat(ctx, p); err == nil {
			i.Name = p
			infos = []client.Info{i}
		}
	}
	if err != nil {
		return err
	}
	if !l.all && !file {
		infos = slices.DeleteFunc(infos, func(i client.Info) bool { return strings.HasPrefix(i.Name, ".") })
	}
	l.sort(infos)
	if l.app.json() {
		return l.app.encode(append([]client.Info{}, infos...)) // never null
	}
	w := bufio.NewWriter(l.app.stdout)
	if later && !file {
		fmt.Fprintln(w)
	}
	if several && !file {
		fmt.Fprintf(w, "%s:\n", plain(p))
	}
	if l.long {
		err = l.table(ctx, c, w, p, infos, file)
	} else {
		for _, i := range infos {
			fmt.Fprintln(w, shown(i))
		}
	}
	return errors.Join(err, w.Flush())
}

func (l *lister) sort(infos []client.Info) {
	switch {
	case l.byTime:
		slices.SortStableFunc(infos, func(a, b client.Info) int { return b.ModTime.Compare(a.ModTime) })
	case l.bySize:
		slices.SortStableFunc(infos, func(a, b client.Info) int { return cmp.Compare(b.Size, a.Size) })
	}
	if l.upward {
		slices.Reverse(infos)
	}
}

func (l *lister) table(ctx context.Context, c *client.Client, w io.Writer, dir string, infos []client.Info, file bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, i := range infos {
		size, name := strconv.FormatInt(i.Size, 10), shown(i)
		if l.human {
			size = sizeText(i.Size)
		}
		if i.IsLink() {
			at := i.Name
			if !file {
				at = dir + "/" + i.Name
			}
			if target, err := c.Readlink(ctx, at); err == nil { // it may be gone by now
				name = plain(i.Name + " -> " + target)
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t %s\n", modeText(i), size, i.ModTime.Local().Format("2006-01-02 15:04"), name)
	}
	return t.Flush()
}

// shown is a name as a terminal may have it, with a slash behind directories.
func shown(i client.Info) string {
	if i.IsDir {
		return strings.TrimSuffix(plain(i.Name), "/") + "/"
	}
	return plain(i.Name)
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

func (a *app) stat() *cobra.Command {
	return &cobra.Command{Use: "stat path…", Short: "Describe files", Args: cobra.MinimumNArgs(1),
		Long: "Describes files. A symbolic link is described itself. The ETag is what --if-match takes.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.each(cmd, args, func(ctx context.Context, c *client.Client, p string) error {
				i, err := c.Stat(ctx, p)
				if err != nil {
					return err
				}
				if a.json() {
					return a.encode(i)
				}
				a.printf("  File: %s\n  Size: %d\n  Mode: %s (%04o)\nModify: %s\n  Type: %s\n",
					plain(p), i.Size, modeText(i), i.Mode, i.ModTime.UTC().Format(time.RFC3339Nano),
					strings.TrimSpace(plain(i.Meta.Name+" "+i.Meta.Type)))
				if i.ETag != "" {
					a.printf("  ETag: %s\n", i.ETag)
				}
				return nil
			})
		}}
}

func (a *app) cat() *cobra.Command {
	var stream bool
	var from string
	c := &cobra.Command{Use: "cat path…", Short: "Write files to stdout", Args: cobra.MinimumNArgs(1), SuggestFor: []string{"read", "type", "more"},
		Long: `Writes files to stdout. Reading a file that is consumed, such as a queue's
dequeue, takes from it.

With --stream a stream is followed until it is removed, from the oldest byte that
is kept or from where --from says. One that is cut off ends with exit code 5: there
is more behind what came. Bytes that are gone are refused, and the refusal says
which are there.`}
	c.Flags().BoolVar(&stream, "stream", false, "follow a stream until interrupted")
	c.Flags().StringVar(&from, "from", "start", "with --stream: begin at this offset in bytes, at the start of what is kept, or at the end")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		place, err := placeInStream(from)
		if err == nil && !stream && cmd.Flags().Changed("from") {
			err = usage("--from is of streams: add --stream")
		}
		if err != nil {
			return err
		}
		return a.each(cmd, args, func(ctx context.Context, c *client.Client, p string) error {
			open := c.Open
			if stream {
				open = func(ctx context.Context, p string) (io.ReadCloser, error) {
					r, _, err := c.Follow(ctx, p, place)
					return r, err
				}
			}
			r, err := open(ctx, p)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(a.stdout, r)
			return err
		})
	}
	return c
}

// placeInStream is what the API calls a value of --from.
func placeInStream(from string) (string, error) {
	switch from {
	case "start":
		return client.Oldest, nil
	case "end":
		return client.Now, nil
	}
	if _, err := strconv.ParseUint(from, 10, 63); err != nil {
		return "", usage("--from is start, end, or an offset in bytes, not %q", from)
	}
	return from, nil
}
