package verbs

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// writing is how a file is written.
type writing struct {
	conds
	behind, stream bool
}

// flags gives a command the flags of writing.
func (w *writing) flags(c *cobra.Command) {
	w.conds.flags(c)
	c.Flags().BoolVar(&w.absent, "if-absent", false, "only if there is no such file")
	c.Flags().BoolVar(&w.behind, "append", false, "behind the end")
	c.Flags().BoolVar(&w.stream, "stream", false, "send stdin piece by piece, as it comes")
}

// options are those of the client.
func (w *writing) options(cmd *cobra.Command) ([]client.Option, error) {
	opts, err := w.conds.options(cmd, 1)
	if w.stream && w.keyed {
		return nil, cli.Usage("--stream and --idempotency-key exclude each other: what was streamed cannot be repeated")
	}
	if w.behind {
		opts = append(opts, client.Append())
	}
	return opts, err
}

func (a *app) write() *cobra.Command {
	var w writing
	c := &cobra.Command{Use: "write path [text…]", Short: "Write text, or stdin, to a path", Args: cobra.MinimumNArgs(1),
		Long: `Writes the text, or else stdin, to a path. Several words have a space between them;
nothing is added at the end. Readers see the old content or the new. With --stream
what comes from stdin is sent as it comes: a stream has each piece at once, a file
appears when stdin ends.`,
		Example: "  pfs write /memfs/greeting \"Hello, World!\"\n  pfs write /memfs/copy < notes.txt\n  tail -f notes.txt | pfs write --stream /streamfs/log"}
	w.flags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := w.options(cmd)
		if err != nil {
			return err
		}
		if w.stream && len(args) > 1 {
			return cli.Usage("--stream is of stdin, not of text")
		}
		p, err := a.Path(args[0])
		if err != nil {
			return err
		}
		return a.With(cmd, func(ctx context.Context, c *client.Client) error {
			switch {
			case len(args) > 1:
				return a.wrote(c.WriteFile(ctx, p, []byte(strings.Join(args[1:], " ")), opts...))
			case w.stream:
				return a.wrote(c.Write(ctx, p, onlyReader{a.Stdin}, -1, opts...))
			}
			got, _, err := a.sendStdin(ctx, c, a.Stdin, p, opts...)
			return a.wrote(got, err)
		})
	}
	return c
}

func (a *app) upload() *cobra.Command {
	return a.transfer("upload local… path", "Copy files of this machine to the server: pfs cp with the sides fixed",
		"  pfs upload notes.txt /memfs/docs/\n  pfs upload -r ./src /memfs/copy", func(e *end, last bool) { e.local = !last })
}

func (a *app) download() *cobra.Command {
	return a.transfer("download path… local", "Copy files of the server to this machine: pfs cp with the sides fixed",
		"  pfs download /memfs/notes.txt .\n  pfs download -r /memfs/src ./copy", func(e *end, last bool) { e.local = last })
}

// transfer is cp where the place of an argument says on which side it is.
func (a *app) transfer(use, short, example string, fix func(e *end, last bool)) *cobra.Command {
	k := &copier{app: a}
	c := &cobra.Command{Use: use, Short: short, Args: cobra.MinimumNArgs(2), Example: example}
	f := c.Flags()
	f.BoolVarP(&k.recursive, "recursive", "r", false, "directories and all below them")
	f.BoolVar(&k.compare, "resume", false, "leave files that are there and equal, by size and digest")
	f.BoolVarP(&k.tell, "verbose", "v", false, "tell what is copied")
	k.flags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := k.checkFlags(); err != nil {
			return err
		}
		var err error
		ends := make([]end, len(args))
		for i, arg := range args {
			ends[i] = side(arg)
			fix(&ends[i], i == len(args)-1)
			if ends[i].path, err = a.place(ends[i]); err != nil {
				return err
			}
		}
		ctx, cancel := a.Context(cmd)
		defer cancel()
		return k.run(ctx, ends[:len(ends)-1], ends[len(ends)-1])
	}
	return c
}
