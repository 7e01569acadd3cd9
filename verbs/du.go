package verbs

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// usage is what du tells of one path.
type usage struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

// summer is one run of du.
type summer struct {
	app                     *app
	each, only, human, kilo bool
	total                   bool
	depth                   int
	sum                     int64
}

func (a *app) du() *cobra.Command {
	s := summer{app: a}
	c := &cobra.Command{Use: "du [path…]", Short: "Tell how many bytes are in directories",
		Long: `Tells how many bytes of content are in each directory and below it. What the disks of
the nodes hold of it is less where content is the same, and "pfs df" tells that.`,
		Example: "  pfs du -sh /memfs\n  pfs du -d 1 -h /"}
	f := c.Flags()
	f.Bool("help", false, "help for du") // without -h
	f.BoolVarP(&s.each, "all", "a", false, "files, too")
	f.BoolVarP(&s.only, "summarize", "s", false, "the paths alone")
	f.BoolVarP(&s.human, "human-readable", "h", false, "sizes as 1.5K, 2.0M")
	f.BoolVarP(&s.kilo, "kilobytes", "k", false, "sizes in KiB, rounded up")
	f.BoolP("bytes", "b", false, "sizes in bytes, as without")
	f.BoolVarP(&s.total, "total", "c", false, "the sum of all paths, too")
	f.IntVarP(&s.depth, "max-depth", "d", -1, "directories no deeper than this; -1: all")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			args = []string{a.here()}
		}
		if s.only {
			s.depth = 0
		}
		err := a.EachArg(cmd, args, s.arg)
		if s.total {
			err = cmp.Or(err, s.print("total", s.sum))
		}
		return err
	}
	return c
}

// arg sums up what one argument names: directories when what is in them has been seen.
func (s *summer) arg(ctx context.Context, c *client.Client, arg string) error {
	w := walker{app: s.app, c: c, depth: -1}
	var open []found
	var sums []int64
	leave := func(depth int) error {
		for len(open) > 0 && open[len(open)-1].depth >= depth {
			n := len(open) - 1
			d, sum := open[n], sums[n]
			open, sums = open[:n], sums[:n]
			if n > 0 {
				sums[n-1] += sum
			} else {
				s.sum += sum
			}
			if s.shows(d) {
				if err := s.print(d.at, sum); err != nil {
					return err
				}
			}
		}
		return nil
	}
	err := w.tree(ctx, arg, func(f found) error {
		if err := leave(f.depth); err != nil {
			return err
		}
		size := f.info.Size
		if f.info.IsDir || f.info.IsLink() || f.info.Control() {
			size = 0
		}
		open, sums = append(open, f), append(sums, size)
		return nil
	})
	return cmp.Or(err, leave(0), w.failed.Result())
}

// shows reports whether a line is printed of f.
func (s *summer) shows(f found) bool {
	dir := f.info.IsDir && !f.info.IsLink()
	return f.depth == 0 || (dir || s.each) && (s.depth < 0 || f.depth <= s.depth)
}

func (s *summer) print(at string, n int64) error {
	if s.app.JSON() {
		return s.app.Line(usage{at, n})
	}
	size := strconv.FormatInt(n, 10)
	switch {
	case s.human:
		size = cli.SizeText(n)
	case s.kilo:
		size = strconv.FormatInt((n+1023)/1024, 10)
	}
	s.app.Printf("%s\t%s\n", size, cli.Plain(at))
	return nil
}

func (a *app) df() *cobra.Command {
	var human bool
	c := &cobra.Command{Use: "df", Short: "Tell how much space the nodes' disks have", Args: cobra.NoArgs,
		Long: "Tells how much space there is on the disks of the nodes. Every node holds all content,\nso what can still be written is what the fullest of them has."}
	c.Flags().Bool("help", false, "help for df") // without -h
	c.Flags().BoolVarP(&human, "human-readable", "h", false, "sizes as 1.5G")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.With(cmd, func(ctx context.Context, c *client.Client) error {
			s, err := c.Cluster(ctx)
			if err != nil {
				return err
			}
			if a.JSON() {
				return a.Encode(s.Nodes)
			}
			text := func(n int64) string {
				if human {
					return cli.SizeText(n)
				}
				return strconv.FormatInt(n, 10)
			}
			w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(w, "node\tsize\tused\tfree\tuse%\t")
			for _, n := range s.Nodes {
				if n.DiskSize == 0 {
					fmt.Fprintf(w, "%s\t-\t-\t-\t-\t\n", cli.Plain(n.ID))
					continue
				}
				used := n.DiskSize - n.DiskFree
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d%%\t\n", cli.Plain(n.ID), text(n.DiskSize), text(used), text(n.DiskFree), used*100/n.DiskSize)
			}
			return w.Flush()
		})
	}
	return c
}
