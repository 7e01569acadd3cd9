package verbs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// tailer is how tail shows the ends of files.
type tailer struct {
	*app
	lines, bytes  string // as given
	n             amount
	follow, retry bool // retry: the name is followed, whatever has it
	poll          time.Duration
	headings      bool

	mu    sync.Mutex // of stdout
	shown string     // the file whose text came last
	some  bool       // anything came
}

// amount is how much of a file to show.
type amount struct {
	n         int64
	bytes     bool // or lines
	fromStart bool // from the n-th on, instead of the last n
}

func (a *app) tail() *cobra.Command {
	t := &tailer{app: a}
	var quiet, verbose bool
	c := &cobra.Command{Use: "tail [path…]", Annotations: map[string]string{cli.CountFlag: "n"}, Short: "Write the ends of files, and what is appended to them",
		Long: `Writes the last ten lines of each file, or of stdin without one or for -. A long
file is read from its end.

With -f the command goes on with what is appended. It asks nothing while nothing
comes: the server answers as soon as there is more, from mounts in the log; others
are asked at each interval. A file that is cut is read from its start. With -f one
that is removed, or whose name another file takes, is no longer followed; -F follows
the name: it waits for a file that is not there yet or no longer, and takes up
another one from its start. A server that is away is tried again until it is back.

A stream is followed from what it keeps; bytes that were missed are reported.`,
		Example: "  pfs tail -n 3 /memfs/log\n  pfs tail -f /memfs/log\n  pfs tail -n +2 /memfs/log\n  pfs tail -F -n 0 /memfs/a.log /memfs/b.log"}
	f := c.Flags()
	f.StringVarP(&t.lines, "lines", "n", "10", "the last so many lines, or all from line `+N` on")
	f.StringVarP(&t.bytes, "bytes", "c", "", "the last so many bytes, or all from byte `+N` on; K, M and G multiply")
	f.BoolVarP(&t.follow, "follow", "f", false, "go on with what is appended")
	f.BoolVarP(&t.retry, "follow-name", "F", false, "as -f, but follow the name: wait for a file, and for its successor")
	f.DurationVarP(&t.poll, "sleep-interval", "s", time.Second, "how often to ask a server that cannot tell of changes")
	f.BoolVarP(&quiet, "quiet", "q", false, "never print headings")
	f.BoolVarP(&verbose, "verbose", "v", false, "always print headings")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if t.n, err = t.amount(cmd.Flags().Changed("bytes")); err != nil {
			return err
		}
		if len(args) == 0 {
			args = []string{"-"}
		}
		t.follow = t.follow || t.retry
		t.headings = !quiet && (verbose || len(args) > 1)
		return a.With(cmd, func(ctx context.Context, c *client.Client) error { return t.all(ctx, c, args) })
	}
	return c
}

// amount reads -n and -c.
func (t *tailer) amount(bytes bool) (amount, error) {
	v, flag := t.lines, "-n"
	if bytes {
		v, flag = t.bytes, "-c"
	}
	a := amount{bytes: bytes, fromStart: strings.HasPrefix(v, "+")}
	digits, unit := strings.TrimPrefix(strings.TrimPrefix(v, "+"), "-"), int64(1)
	if i := strings.IndexByte("KMG", last(digits)); i >= 0 {
		digits, unit = digits[:len(digits)-1], 1<<(10*(i+1))
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return a, cli.Usage("%s %s is not a number such as 10 or +10", flag, v)
	}
	a.n = int64(n) * unit
	return a, nil
}

func last(s string) byte {
	if s == "" {
		return 0
	}
	return s[len(s)-1]
}

// all shows the ends of the files, one after the other, and then follows all of
// them at once.
func (t *tailer) all(ctx context.Context, c *client.Client, args []string) error {
	var failed cli.Partial
	var wg sync.WaitGroup
	var mu sync.Mutex // of failed
	done := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		failed.Add(err)
		if err != nil && (len(args) > 1 || t.follow) && ctx.Err() == nil {
			t.Say("pfs: %s", cli.Explain(err))
		}
	}
	for _, arg := range args {
		if arg == "-" {
			done(t.stdin())
			continue
		}
		p, err := t.Path(arg)
		f := &tailed{tailer: t, c: c, path: p, name: arg}
		if err == nil {
			err = f.end(ctx)
		}
		if err != nil || !f.more {
			done(err)
			continue
		}
		wg.Go(func() { done(f.goOn(ctx)) })
	}
	wg.Wait()
	switch err := failed.Result(); {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && len(args) == 1:
		if t.follow {
			return cli.Exit(cli.Code(err)) // it was told
		}
		return failed.First()
	default:
		return err
	}
}

// stdin shows the end of stdin.
func (t *tailer) stdin() error { return t.ending(t.Stdin, t.heading("-", "standard input")) }

// heading is a writer of the text of one file: what comes after that of another
// has its name over it.
func (t *tailer) heading(id, name string) io.Writer { return &headed{t, id, name} }

type headed struct {
	t        *tailer
	id, name string
}

// Write writes to stdout.
func (h *headed) Write(b []byte) (int, error) {
	t := h.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.headings && (!t.some || t.shown != h.id) {
		if t.some {
			t.Printf("\n")
		}
		t.Printf("==> %s <==\n", cli.Plain(h.name))
	}
	t.some, t.shown = true, h.id
	if len(b) == 0 {
		return 0, nil
	}
	return t.Stdout.Write(b)
}

// tailed is one file.
type tailed struct {
	*tailer
	c          *client.Client
	path, name string
	more       bool // it is to be followed
	stream     *client.Tail
	missed     bool // part of the stream

	etag, file string
	off        int64 // of the next byte to show
	blind      bool  // the server cannot wait for it
}

// end shows the end of the file.
func (f *tailed) end(ctx context.Context) error {
	out := f.heading(f.path, f.name)
	p, err := f.c.WaitRead(ctx, f.path, "", client.Range{Size: 0}, 0)
	switch {
	case f.retry && errors.Is(err, fs.ErrNotExist):
		f.Say("pfs: %s; waiting for it", cli.Explain(err))
		f.more, f.etag = true, client.NoFile
		return nil
	case errors.Is(err, fs.ErrInvalid): // so says the refusal of a stream; stat knows
		if i, serr := f.c.Stat(ctx, f.path); serr == nil && isStream(i) {
			return f.streamEnd(ctx, i, out)
		}
	}
	if err != nil {
		return err
	}
	if err := p.Close(); err != nil {
		return err
	}
	if _, err := out.Write(nil); err != nil {
		return err
	}
	f.more, f.etag, f.file = f.follow, p.ETag, p.File
	if p.Size <= 0 && p.File == "" { // what tells no length is read to see it
		r, err := f.c.OpenRange(ctx, f.path, client.Range{Size: -1})
		if err != nil {
			return err
		}
		defer r.Close()
		n := &counted{r: r}
		err = f.ending(n, out)
		f.off = n.n.Load()
		return err
	}
	f.off = p.Size
	return f.known(ctx, p.Size, out)
}
