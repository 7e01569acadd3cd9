package verbs

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

func (a *app) cat() *cobra.Command {
	var stream, number bool
	var from string
	c := &cobra.Command{Use: "cat [path…]", Short: "Write files to stdout", SuggestFor: []string{"read", "type", "more"},
		Long: `Writes files to stdout; - is stdin, as is no path in a pipe. Reading a file that is consumed, such as a queue's
dequeue, takes from it.

With --stream a stream is followed until it is removed, from the oldest byte that
is kept or from where --from says, as by pfs stream cat: each byte once, over lost
connections and nodes. Bytes that are gone are refused, and the refusal says which
are there; where they went meanwhile, that is told, and the exit code is 5.`}
	c.Flags().BoolVar(&stream, "stream", false, "follow a stream until interrupted")
	c.Flags().BoolVarP(&number, "number", "n", false, "number the lines")
	c.Flags().BoolP("unbuffered", "u", false, "as always; for habit's sake")
	c.Flags().StringVar(&from, "from", "start", "with --stream: begin at this offset in bytes, at the start of what is kept, or at the end")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		place, err := placeInStream(from)
		if err == nil && !stream && cmd.Flags().Changed("from") {
			err = cli.Usage("--from is of streams: add --stream")
		}
		if err != nil {
			return err
		}
		if len(args) == 0 {
			args = []string{"-"}
		}
		out := a.Stdout
		if number {
			out = &numbered{w: bufio.NewWriter(a.Stdout)}
		}
		return a.EachArg(cmd, args, func(ctx context.Context, c *client.Client, arg string) error {
			if stream {
				return a.follow(ctx, c, arg, place, out)
			}
			r, err := a.open(ctx, c, arg)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(out, r)
			return err
		})
	}
	return c
}

// open opens the file that an argument names; - is stdin.
func (a *app) open(ctx context.Context, c *client.Client, arg string) (io.ReadCloser, error) {
	if arg == "-" {
		return io.NopCloser(a.Stdin), nil
	}
	return c.Open(ctx, a.Remote(arg))
}

// numbered writes lines with their numbers.
type numbered struct {
	w    *bufio.Writer
	n    int
	open bool // a line was begun
}

// Write writes on, and keeps nothing back: it may be long until more comes.
func (l *numbered) Write(b []byte) (int, error) {
	for i, c := range b {
		if !l.open {
			l.n++
			fmt.Fprintf(l.w, "%6d\t", l.n)
		}
		l.open = c != '\n'
		if err := l.w.WriteByte(c); err != nil {
			return i, err
		}
	}
	return len(b), l.w.Flush()
}
