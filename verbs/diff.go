package verbs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// maxDiff is how long a file may be whose lines are compared, in bytes; of longer ones
// only whether they differ is told.
const maxDiff = 8 << 20

// differ is one run of diff.
type differ struct {
	app             *app
	c               *client.Client
	brief, newFiles bool
	recursive       bool
	context         int
	differ          bool
}

func (a *app) diff() *cobra.Command {
	d := differ{app: a}
	c := &cobra.Command{Use: "diff path path", Short: "Compare two files, or with -r two directories", Args: cobra.ExactArgs(2),
		Long: `Compares files line by line and prints how the second one is made of the first. Either
may be local:PATH; - is stdin. The exit code is 0 if they are the same, 1 if they are
not, and more than 1 after an error.`,
		Example: "  pfs diff /memfs/a /memfs/b\n  pfs diff -r local:./src /memfs/src"}
	f := c.Flags()
	f.BoolVarP(&d.recursive, "recursive", "r", false, "directories with all below them")
	f.BoolVarP(&d.brief, "quiet", "q", false, "only whether they differ")
	f.BoolVarP(&d.newFiles, "new-file", "N", false, "a file that is missing is taken as empty")
	f.IntVarP(&d.context, "unified", "U", 3, "lines of what is the same around each change")
	f.BoolP("unified-default", "u", false, "as always; for habit's sake")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		err := a.With(cmd, func(ctx context.Context, c *client.Client) error {
			d.c = c
			return d.two(ctx, args[0], args[1])
		})
		switch {
		case err != nil && cli.Code(err) <= 1:
			return &cli.Hinted{Code: cli.ExitUsage, Text: cli.Explain(err)}
		case err == nil && d.differ:
			return cli.Exit(1)
		}
		return err
	}
	return c
}

// two compares what two arguments name; a file and a directory by the file's name.
func (d *differ) two(ctx context.Context, a, b string) error {
	ai, err := d.stat(ctx, a)
	if err != nil {
		return err
	}
	bi, err := d.stat(ctx, b)
	switch {
	case err != nil:
		return err
	case ai && bi && d.recursive:
		return d.dirs(ctx, a, b)
	case ai && bi:
		return cli.Usage("%s and %s are directories; compare them with -r", a, b)
	case ai:
		return d.files(ctx, below(a, lastName(strings.TrimPrefix(b, "local:"))), b)
	case bi:
		return d.files(ctx, a, below(b, lastName(strings.TrimPrefix(a, "local:"))))
	}
	return d.files(ctx, a, b)
}

// stat reports whether an argument names a directory.
func (d *differ) stat(ctx context.Context, arg string) (dir bool, err error) {
	if arg == "-" {
		return false, nil
	}
	if p, ok := strings.CutPrefix(arg, "local:"); ok {
		st, err := os.Stat(p)
		return err == nil && st.IsDir(), err
	}
	p, err := d.app.Path(arg)
	if err != nil {
		return false, err
	}
	i, err := d.c.Stat(ctx, p)
	return i.IsDir, err
}

// names lists a directory: names, and which are directories.
func (d *differ) names(ctx context.Context, arg string) (map[string]bool, error) {
	out := map[string]bool{}
	if p, ok := strings.CutPrefix(arg, "local:"); ok {
		all, err := os.ReadDir(filepath.FromSlash(p))
		for _, e := range all {
			out[e.Name()] = e.IsDir()
		}
		return out, err
	}
	for i, err := range d.c.Entries(ctx, d.app.Remote(arg)) {
		if err != nil {
			return nil, err
		}
		if !i.Control() {
			out[i.Name] = i.IsDir && !i.IsLink()
		}
	}
	return out, nil
}

// dirs compares two directories.
func (d *differ) dirs(ctx context.Context, a, b string) error {
	left, err := d.names(ctx, a)
	if err != nil {
		return err
	}
	right, err := d.names(ctx, b)
	if err != nil {
		return err
	}
	var all []string
	for n := range left {
		all = append(all, n)
	}
	for n := range right {
		if _, ok := left[n]; !ok {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	for _, n := range all {
		ldir, l := left[n]
		rdir, r := right[n]
		switch {
		case l && r && ldir && rdir:
			err = d.dirs(ctx, below(a, n), below(b, n))
		case l && r && ldir != rdir:
			d.tell("%s is a %s while %s is a %s\n", below(a, n), fileOrDir(ldir), below(b, n), fileOrDir(rdir))
		case l && !r && !(d.newFiles && !ldir):
			d.tell("Only in %s: %s\n", a, n)
		case r && !l && !(d.newFiles && !rdir):
			d.tell("Only in %s: %s\n", b, n)
		default:
			err = d.files(ctx, below(a, n), below(b, n))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func fileOrDir(dir bool) string {
	if dir {
		return "directory"
	}
	return "file"
}

// tell prints a line about what differs.
func (d *differ) tell(format string, args ...any) {
	d.differ = true
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = cli.Plain(s)
		}
	}
	d.app.Printf(format, args...)
}

// open opens one side.
func (d *differ) open(ctx context.Context, arg string) (io.ReadCloser, error) {
	var r io.ReadCloser
	var err error
	if p, ok := strings.CutPrefix(arg, "local:"); ok {
		r, err = os.Open(filepath.FromSlash(p))
	} else {
		r, err = d.app.open(ctx, d.c, arg)
	}
	if d.newFiles && errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return r, err
}

// files compares two files: the first bytes of both in memory, what follows as it
// comes.
func (d *differ) files(ctx context.Context, a, b string) error {
	left, err := d.open(ctx, a)
	if err != nil {
		return err
	}
	defer left.Close()
	right, err := d.open(ctx, b)
	if err != nil {
		return err
	}
	defer right.Close()
	l, lerr := io.ReadAll(io.LimitReader(left, maxDiff+1))
	r, rerr := io.ReadAll(io.LimitReader(right, maxDiff+1))
	if err := errors.Join(lerr, rerr); err != nil {
		return err
	}
	same := bytes.Equal(l, r)
	long := len(l) > maxDiff || len(r) > maxDiff
	if same && long {
		if same, err = sameRest(left, right); err != nil {
			return err
		}
	}
	switch {
	case same:
		return nil
	case d.brief, long, bytes.IndexByte(l, 0) >= 0, bytes.IndexByte(r, 0) >= 0:
		d.tell("Files %s and %s differ\n", a, b)
		return nil
	}
	d.differ = true
	return difflib.WriteUnifiedDiff(d.app.Stdout, difflib.UnifiedDiff{A: diffLines(l), B: diffLines(r),
		FromFile: cli.Plain(a), ToFile: cli.Plain(b), Context: d.context})
}

// diffLines splits content; a last line without an end says so, as POSIX has it.
func diffLines(b []byte) []string {
	lines := strings.SplitAfter(string(b), "\n")
	if last := len(lines) - 1; lines[last] == "" {
		return lines[:last]
	} else if last >= 0 {
		lines[last] += "\n\\ No newline at end of file\n"
	}
	return lines
}

// sameRest compares what two readers still have.
func sameRest(a, b io.Reader) (bool, error) {
	l, r := make([]byte, 256<<10), make([]byte, 256<<10)
	for {
		n, err := io.ReadFull(a, l)
		m, rerr := io.ReadFull(b, r)
		switch {
		case n != m || !bytes.Equal(l[:n], r[:m]):
			return false, nil
		case err == nil && rerr == nil:
			continue
		}
		for _, e := range []error{err, rerr} {
			if e != nil && e != io.EOF && !errors.Is(e, io.ErrUnexpectedEOF) {
				return false, e
			}
		}
		return true, nil
	}
}
