package verbs

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// stream is the group of the commands on streams.
func (a *app) stream() *cobra.Command {
	c := &cobra.Command{Use: "stream", Short: "Write and follow streams", Args: cobra.NoArgs,
		Long: `Writes and follows streams: files whose readers get what is written as it comes. What
a mount keeps of each is set where it is mounted; see docs/plugins/streamfs.md.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(a.streamPut(), a.streamCat(), a.streamInfo())
	return c
}

func (a *app) streamPut() *cobra.Command {
	return &cobra.Command{Use: "put path", Short: "Append stdin to a stream, each piece as it comes", Args: cobra.ExactArgs(1),
		Example: "  printf 'one\\ntwo\\n' | pfs stream put /streamfs/log",
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.Path(args[0])
			if err != nil {
				return err
			}
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				return a.wrote(c.Write(ctx, p, onlyReader{a.Stdin}, -1))
			})
		}}
}

func (a *app) streamCat() *cobra.Command {
	var from string
	c := &cobra.Command{Use: "cat path", Aliases: []string{"tail"}, Short: "Follow a stream, through the loss of nodes", Args: cobra.ExactArgs(1),
		Long: `Follows a stream until it is removed. Where a connection or a node is lost another one
is asked for what comes next. Bytes that are not kept any more by then are told on
stderr, and the exit code is 5.`,
		Example: "  pfs stream cat /streamfs/log --timeout 1s || true\n  pfs stream cat --from end /streamfs/log --timeout 1s || true"}
	c.Flags().StringVar(&from, "from", "start", "begin at this offset in bytes, at the start of what is kept, or at the end")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		place, err := placeInStream(from)
		if err != nil {
			return err
		}
		return a.With(cmd, func(ctx context.Context, c *client.Client) error {
			return a.follow(ctx, c, args[0], place, a.Stdout)
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
		return "", cli.Usage("--from is start, end, or an offset in bytes, not %q", from)
	}
	return from, nil
}

// isStream reports whether a file is a stream.
func isStream(i client.Info) bool { return i.Meta.Type == "stream" || i.Meta.Type == "rotate-stream" }

// follow writes a stream to out, from a place on to its end.
func (a *app) follow(ctx context.Context, c *client.Client, arg, place string, out io.Writer) error {
	p, err := a.Path(arg)
	if err != nil {
		return err
	}
	t, err := c.Tail(ctx, p, place)
	if err != nil {
		return err
	}
	return a.hear(t, arg, out, false)
}

// hear writes what comes of a stream to out, to its end: over lost connections,
// which it tells, and over what is missing, which it tells and which is an error in
// the end, as it is if something was missed before. It closes t.
func (a *app) hear(t *client.Tail, name string, out io.Writer, missed bool) error {
	defer t.Close()
	t.OnLoss(func(err error) { a.Say("pfs: %s; trying again", cli.Explain(err)) })
	for {
		_, err := io.Copy(out, t)
		var gap *client.Gap
		switch {
		case errors.As(err, &gap):
			a.Say("pfs: %s: %v", name, gap)
			missed = true
			continue
		case err == nil && missed:
			err = notWhole(name)
		}
		return err
	}
}

func notWhole(name string) error {
	return &cli.Hinted{Code: cli.ExitTemporary, Text: name + ": the stream did not come whole"}
}

func (a *app) streamInfo() *cobra.Command {
	return &cobra.Command{Use: "info path…", Short: "Tell what is kept of streams", Args: cobra.MinimumNArgs(1), Example: "  pfs stream info /streamfs/log",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.EachArg(cmd, args, func(ctx context.Context, c *client.Client, arg string) error {
				i, err := c.Stat(ctx, a.Remote(arg))
				switch {
				case err != nil:
					return err
				case i.Meta.Type != "stream":
					return cli.Usage("%s is no stream", arg)
				case a.JSON():
					return a.Line(placed{a.Remote(arg), i})
				}
				a.Printf("%s\n  size: %d bytes\n", cli.Plain(a.Remote(arg)), i.Size)
				for _, k := range slices.Sorted(maps.Keys(i.Meta.Content)) {
					a.Printf("  %s: %s\n", k, cli.Plain(i.Meta.Content[k]))
				}
				return nil
			})
		}}
}
