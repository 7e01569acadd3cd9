package verbs

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

func (a *app) touch() *cobra.Command {
	var noCreate bool
	var when conds
	var date, stamp, like string
	c := &cobra.Command{Use: "touch path…", Short: "Set the time of files to now, or make empty ones", Args: cobra.MinimumNArgs(1),
		Long: "Sets the modification time to now, and makes a file where there is none. Other\ntimes cannot be set: the server gives each change its own.", Example: "  pfs touch /memfs/marker\n  pfs touch -c '/memfs/*.txt'"}
	f := c.Flags()
	f.BoolVarP(&noCreate, "no-create", "c", false, "make no file")
	f.StringVarP(&date, "date", "d", "", "not to be had")
	f.StringVarP(&stamp, "stamp", "t", "", "not to be had")
	f.StringVarP(&like, "reference", "r", "", "not to be had")
	for _, name := range []string{"date", "stamp", "reference"} {
		_ = f.MarkHidden(name) // it is there
	}
	when.flags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if date+stamp+like != "" {
			return cli.Usage("a time cannot be chosen: the server gives each change its own")
		}
		opts, err := when.options(cmd, len(args))
		if err != nil {
			return err
		}
		each := a.Each
		if noCreate {
			each = a.eachMatch
		}
		return each(cmd, args, func(ctx context.Context, c *client.Client, p string) error {
			if noCreate {
				if _, err := c.Stat(ctx, p); errors.Is(err, fs.ErrNotExist) {
					return nil
				}
			}
			return c.Touch(ctx, p, opts...)
		})
	}
	return c
}

func (a *app) truncate() *cobra.Command {
	var size string
	var noCreate bool
	var when conds
	c := &cobra.Command{Use: "truncate -s size path…", Short: "Cut or lengthen files", Args: cobra.MinimumNArgs(1),
		Long: `Cuts files to a size in bytes, or lengthens them with zeros. +N and -N are from the
size that a file has. K, M, G and T are of 1024, KB, MB and GB of 1000.`,
		Example: "  pfs truncate -s 0 /memfs/log\n  pfs truncate -s -10 /memfs/a\n  pfs truncate -s 1M /memfs/new"}
	c.Flags().StringVarP(&size, "size", "s", "", "the size, as 10, +5, -5, 4K")
	c.Flags().BoolVarP(&noCreate, "no-create", "c", false, "make no file")
	when.flags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		n, from, err := sizeOf(size)
		if err != nil {
			return err
		}
		opts, err := when.options(cmd, len(args))
		if err != nil {
			return err
		}
		return a.Each(cmd, args, func(ctx context.Context, c *client.Client, p string) error {
			i, err := c.Stat(ctx, p)
			switch {
			case errors.Is(err, fs.ErrNotExist) && noCreate:
				return nil
			case errors.Is(err, fs.ErrNotExist):
				err = c.Create(ctx, p)
			}
			if err != nil {
				return err
			}
			to := n
			if from {
				to = max(0, i.Size+n)
				if len(opts) == 0 && i.ETag != "" { // the size is that of this version
					return c.Truncate(ctx, p, to, client.IfMatch(i.ETag))
				}
			}
			return c.Truncate(ctx, p, to, opts...)
		})
	}
	return c
}

// sizeOf takes a size apart; from: it is to be added to what is there.
func sizeOf(s string) (n int64, from bool, err error) {
	digits := strings.TrimLeft(s, "+-")
	n, err = cli.Size(digits)
	if err != nil || len(s)-len(digits) > 1 {
		return 0, false, cli.Usage("--size %q is none, such as 0, 4K, +10 or -10", s)
	}
	if s[0] == '-' {
		n = -n
	}
	return n, s[0] == '+' || s[0] == '-', nil
}

func (a *app) chmod() *cobra.Command {
	var recursive, verbose bool
	var when conds
	c := &cobra.Command{Use: "chmod mode path…", Short: "Change permission bits", Args: cobra.MinimumNArgs(2),
		Long: `Sets permission bits: octal, as 644, or symbolic, as u+x, go-w, a=r. They are shown
and kept, and not enforced. Patterns in quotes fit names on the server. A mode that
starts with a minus sign comes after --.`,
		Example: "  pfs chmod 600 /memfs/notes.txt\n  pfs chmod -R u+x,go-w /memfs/src\n  pfs chmod -- -w /memfs/a"}
	c.Flags().BoolVarP(&recursive, "recursive", "R", false, "directories and all below them; links are left, and what fails is told")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "tell what is changed")
	when.flags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		change, err := modeChange(args[0])
		if err != nil {
			return err
		}
		opts, err := when.options(cmd, len(args)-1)
		if err != nil {
			return err
		}
		return a.eachMatch(cmd, args[1:], func(ctx context.Context, c *client.Client, p string) error {
			w := walker{app: a, c: c, goesOn: true, leave: func(i client.Info) bool { return i.IsLink() || i.Control() }}
			if recursive {
				w.depth = -1
			}
			err := w.tree(ctx, p, func(f found) error {
				m := change(f.info.Mode&0o777, f.info.IsDir)
				if verbose {
					a.Printf("%04o %s\n", m, cli.Plain(f.path))
				}
				return c.Chmod(ctx, f.path, m, opts...)
			})
			return cmp.Or(err, w.failed.Result())
		})
	}
	return c
}

// modeChange returns what a mode of chmod makes of permission bits.
func modeChange(text string) (func(old uint32, dir bool) uint32, error) {
	bad := cli.Usage("%q is no mode, such as 644, u+x or go-w", text)
	if n, err := strconv.ParseUint(text, 8, 12); err == nil {
		if n > 0o777 {
			return nil, cli.Usage("mode %s: only permission bits are kept, up to 777", text)
		}
		return func(uint32, bool) uint32 { return uint32(n) }, nil
	}
	var steps []func(uint32, bool) uint32
	for clause := range strings.SplitSeq(text, ",") {
		at := strings.IndexAny(clause, "+-=")
		if at < 0 {
			return nil, bad
		}
		var who uint32
		for _, w := range clause[:at] {
			bits, ok := map[rune]uint32{'u': 0o700, 'g': 0o070, 'o': 0o007, 'a': 0o777}[w]
			if !ok {
				return nil, bad
			}
			who |= bits
		}
		if who == 0 {
			who = 0o777
		}
		op, what := clause[at], clause[at+1:]
		if strings.Trim(what, "rwxX") != "" {
			return nil, bad
		}
		steps = append(steps, func(old uint32, dir bool) uint32 {
			var bits uint32
			for _, w := range what {
				if w != 'X' || dir || old&0o111 != 0 {
					bits |= map[rune]uint32{'r': 0o444, 'w': 0o222, 'x': 0o111, 'X': 0o111}[w]
				}
			}
			bits &= who
			switch op {
			case '+':
				return old | bits
			case '-':
				return old &^ bits
			}
			return old&^who | bits
		})
	}
	return func(old uint32, dir bool) uint32 {
		for _, s := range steps {
			old = s(old, dir)
		}
		return old
	}, nil
}
