package verbs

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

func (a *app) digest() *cobra.Command {
	var algorithm string
	c := &cobra.Command{Use: "digest path…", Short: "Print digests of files, which the node computes", Args: cobra.MinimumNArgs(1),
		Long: `Prints the digest and the path of each file. The node computes them: no content comes
over the network. Links are followed; what is consumed when it is read is refused.`,
		Example: "  pfs digest /memfs/data.bin\n  pfs digest -a md5 /memfs/data.bin"}
	c.Flags().StringVarP(&algorithm, "algorithm", "a", "xxh3", "xxh3 or md5")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.EachArg(cmd, args, func(ctx context.Context, c *client.Client, arg string) error {
			sum, err := c.FileDigest(ctx, a.Remote(arg), algorithm)
			if err != nil {
				return err
			}
			if a.JSON() {
				return a.Line(map[string]string{"path": a.Remote(arg), "algorithm": algorithm, "digest": sum})
			}
			a.Printf("%s  %s\n", sum, cli.Plain(arg))
			return nil
		})
	}
	return c
}

// fsgrep has the node search.
func (a *app) fsgrep() *cobra.Command {
	var o client.GrepOptions
	var numbers, total bool
	c := &cobra.Command{Use: "fsgrep pattern path", Short: "Have the node search files", Args: cobra.ExactArgs(2),
		Long: `Has the node search for a regular expression (RE2), which is faster than pfs grep over
many files, as only what matches comes over the network. Plugins that search in their
own way do so. Lines longer than the node searches, and what it cannot read, are left out.`,
		Example: "  pfs fsgrep -r 'TODO|FIXME' /memfs/src"}
	f := c.Flags()
	f.BoolVarP(&o.Recursive, "recursive", "r", false, "a directory with all below it")
	f.BoolVarP(&o.IgnoreCase, "ignore-case", "i", false, "upper and lower case are the same")
	f.IntVarP(&o.Limit, "limit", "m", 0, "at most this many lines; 0: all")
	f.BoolVarP(&numbers, "line-number", "n", false, "with line numbers")
	f.BoolVarP(&total, "count", "c", false, "how many lines, not which")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := a.Path(args[1])
		if err != nil {
			return err
		}
		return a.With(cmd, func(ctx context.Context, c *client.Client) error {
			n := 0
			for m, err := range c.Grep(ctx, p, args[0], o) {
				if err != nil {
					return err
				}
				if n++; o.Limit > 0 && n > o.Limit {
					n--
					break
				}
				if err := a.match(m, total, numbers); err != nil {
					return err
				}
			}
			if total {
				a.Printf("%d\n", n)
			}
			if n == 0 {
				return cli.Exit(1)
			}
			return nil
		})
	}
	return c
}

// match prints one line that the node has found.
func (a *app) match(m client.Match, total, numbers bool) error {
	switch {
	case total:
		return nil
	case a.JSON():
		return a.Line(m)
	}
	at := cli.Plain(m.File) + ":"
	if numbers {
		at += fmt.Sprintf("%d:", m.Line)
	}
	a.Printf("%s%s\n", at, m.Content)
	return nil
}
