package verbs

import (
	"context"
	"errors"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// grepper is one run of grep.
type grepper struct {
	app                                  *app
	patterns                             []string
	extended, fixed, fold, words, whole  bool
	recursive, invert, numbers, count    bool
	names, without, silent, only         bool
	withName, noName, quietErrors, plain bool
	after, before, around, most          int

	re      *regexp.Regexp
	matched bool // any line was
}

func (a *app) grep() *cobra.Command {
	g := grepper{app: a}
	c := &cobra.Command{Use: "grep [flags] pattern [path…]", Short: "Print lines that match a pattern",
		Long: `Prints the lines of files, or of stdin, that match a pattern. Patterns are those of
POSIX: basic ones, with -E extended ones, with -F plain text; \d, \w, \b and the like
of RE2 work too, references back do not. With -r files that are consumed when they are
read are left out.

The exit code is 0 if a line was selected, 1 if none was, and more than 1 after an
error. "pfs fsgrep" has the node search, which is faster over many files.`,
		Example: "  pfs grep -rn TODO /memfs/src\n  pfs grep -c -i error /memfs/log\n  pfs cat /memfs/log | pfs grep -A2 panic"}
	g.flags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(g.patterns) == 0 {
			if len(args) == 0 {
				return cli.Usage("grep wants a pattern")
			}
			g.patterns, args = args[:1], args[1:]
		}
		if err := g.compile(); err != nil {
			return err
		}
		if len(args) == 0 {
			if args = []string{"-"}; g.recursive {
				args = []string{a.here()}
			}
		}
		g.withName = !g.noName && (g.withName || g.recursive || len(args) > 1)
		if g.around > 0 {
			g.after, g.before = max(g.after, g.around), max(g.before, g.around)
		}
		return g.outcome(a.With(cmd, func(ctx context.Context, c *client.Client) error { return g.all(ctx, c, args) }))
	}
	return c
}

func (g *grepper) flags(c *cobra.Command) {
	f := c.Flags()
	f.Bool("help", false, "help for grep") // without -h
	f.StringArrayVarP(&g.patterns, "regexp", "e", nil, "a pattern; may be given several times")
	f.BoolVarP(&g.extended, "extended-regexp", "E", false, "patterns are extended ones")
	f.BoolVarP(&g.fixed, "fixed-strings", "F", false, "patterns are plain text")
	f.BoolVarP(&g.plain, "basic-regexp", "G", false, "patterns are basic ones, as without")
	f.BoolVarP(&g.fold, "ignore-case", "i", false, "upper and lower case are the same")
	f.BoolVarP(&g.words, "word-regexp", "w", false, "only whole words")
	f.BoolVarP(&g.whole, "line-regexp", "x", false, "only whole lines")
	f.BoolVarP(&g.recursive, "recursive", "r", false, "directories with all below them")
	f.BoolVarP(&g.recursive, "dereference-recursive", "R", false, "as -r; links are not followed")
	f.BoolVarP(&g.invert, "invert-match", "v", false, "lines that do not match")
	f.BoolVarP(&g.numbers, "line-number", "n", false, "with line numbers")
	f.BoolVarP(&g.count, "count", "c", false, "how many lines, not which")
	f.BoolVarP(&g.names, "files-with-matches", "l", false, "names of files with such lines")
	f.BoolVarP(&g.without, "files-without-match", "L", false, "names of files without")
	f.BoolVarP(&g.silent, "quiet", "q", false, "print nothing; the exit code tells")
	f.BoolVarP(&g.only, "output", "o", false, "only what matches of each line")
	f.BoolVarP(&g.noName, "no-filename", "h", false, "without file names")
	f.BoolVarP(&g.withName, "with-filename", "H", false, "with file names")
	f.BoolVarP(&g.quietErrors, "no-messages", "s", false, "say nothing of files that cannot be read")
	f.IntVarP(&g.after, "after-context", "A", 0, "also this many lines behind each")
	f.IntVarP(&g.before, "before-context", "B", 0, "also this many lines before each")
	f.IntVarP(&g.around, "context", "C", 0, "also this many lines on both sides")
	f.IntVarP(&g.most, "max-count", "m", -1, "at most this many lines of each file")
}

// compile makes one expression of all patterns.
func (g *grepper) compile() error {
	var all []string
	for _, p := range g.patterns {
		for line := range strings.SplitSeq(p, "\n") {
			switch {
			case g.fixed:
				line = regexp.QuoteMeta(line)
			case !g.extended:
				line = extended(line)
			}
			all = append(all, "(?:"+line+")")
		}
	}
	expr := strings.Join(all, "|")
	switch {
	case g.whole:
		expr = "^(?:" + expr + ")$"
	case g.words:
		expr = `\b(?:` + expr + `)\b`
	}
	if g.fold {
		expr = "(?i)" + expr
	}
	var err error
	if g.re, err = regexp.Compile(expr); err != nil {
		return cli.UsageError{Err: err}
	}
	g.re.Longest()
	return nil
}

// extended turns a basic regular expression of POSIX into an extended one: where one
// has \( the other has (, and the reverse.
func extended(basic string) string {
	var b strings.Builder
	brackets := false
	for i := 0; i < len(basic); i++ {
		c := basic[i]
		switch {
		case brackets:
			brackets = c != ']' || i > 0 && (basic[i-1] == '[' || strings.HasSuffix(basic[:i], "[^"))
			b.WriteByte(c)
		case c == '[':
			brackets = true
			b.WriteByte(c)
		case c == '\\' && i+1 < len(basic):
			i++
			if !strings.ContainsRune("(){}|+?", rune(basic[i])) {
				b.WriteByte('\\')
			}
			b.WriteByte(basic[i])
		case strings.IndexByte("(){}|+?", c) >= 0, c == '*' && (i == 0 || strings.HasSuffix(basic[:i], `\(`) || basic[:i] == "^"):
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// outcome is what grep's exit code tells.
func (g *grepper) outcome(err error) error {
	switch {
	case g.silent && g.matched:
		return nil
	case err != nil && cli.Code(err) <= 1:
		return &cli.Hinted{Code: cli.ExitUsage, Text: cli.Explain(err)}
	case err != nil:
		return err
	case !g.matched:
		return cli.Exit(1)
	}
	return nil
}

// all searches what the arguments name.
func (g *grepper) all(ctx context.Context, c *client.Client, args []string) error {
	var failed cli.Partial
	report := func(err error) {
		failed.Add(err)
		if err != nil && !g.quietErrors {
			g.app.Say("pfs: %s", cli.Explain(err))
		}
	}
	q := newSearches(ctx, g)
	for _, arg := range args {
		err := g.one(ctx, c, arg, q)
		if stop := q.over(); stop || ctx.Err() != nil {
			return errors.Join(q.end(report), ctx.Err())
		}
		if err != nil && len(args) == 1 {
			return errors.Join(err, q.end(report))
		}
		report(err)
	}
	if err := q.end(report); err != nil {
		return err
	}
	return failed.Result()
}

// one searches a file, or with -r a tree.
func (g *grepper) one(ctx context.Context, c *client.Client, arg string, q *searches) error {
	if arg == "-" {
		return q.add(search{name: "(standard input)", open: func() (io.ReadCloser, error) { return g.app.open(ctx, c, arg) }, size: -1})
	}
	if !g.recursive {
		p, err := g.app.Path(arg)
		if err != nil {
			return err
		}
		i, err := c.Stat(ctx, p)
		if err == nil && i.IsDir && !i.IsLink() {
			err = vfs.IsDirectory.Withf("%s: is a directory; search it with -r", arg)
		}
		if err != nil {
			return err
		}
		return q.add(search{name: arg, open: func() (io.ReadCloser, error) { return g.app.open(ctx, c, arg) }, size: i.Size})
	}
	w := walker{app: g.app, c: c, depth: -1}
	err := w.tree(ctx, arg, func(f found) error {
		if f.info.IsDir || f.info.IsLink() && f.depth > 0 || f.info.Control() {
			return nil
		}
		return q.add(search{name: f.at, open: func() (io.ReadCloser, error) { return c.Open(ctx, f.path) }, size: f.info.Size})
	})
	if err == nil {
		err = w.failed.Result()
	}
	return err
}
