package verbs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// end of a copy: on this machine, or on a server.
type end struct {
	path          string
	local, marked bool   // marked: it says so that it is a server's
	url           string // of the server; "": that of the command
}

func side(arg string) end {
	if p, ok := strings.CutPrefix(arg, "local:"); ok || arg == "-" {
		return end{path: p, local: true}
	}
	if rest, ok := strings.CutPrefix(arg, "pfs://"); ok {
		host, p, _ := strings.Cut(rest, "/")
		return end{path: "/" + p, marked: true, url: "http://" + host}
	}
	if rest, ok := strings.CutPrefix(arg, "pfs+https://"); ok {
		host, p, _ := strings.Cut(rest, "/")
		return end{path: "/" + p, marked: true, url: "https://" + host}
	}
	p, ok := strings.CutPrefix(arg, "pfs:")
	return end{path: p, marked: ok}
}

// sides says where the ends of a copy are: plain paths are on this machine if the
// other side is marked as the server's, and else, and in the shell, on the server.
func (a *app) sides(args []string) (src []end, dst end, err error) {
	marked, anyLocal := false, false
	for _, arg := range args[:len(args)-1] {
		e := side(arg)
		src = append(src, e)
		marked, anyLocal = marked || e.marked, anyLocal || e.local
	}
	dst = side(args[len(args)-1])
	if a.Shell == nil && !anyLocal && !dst.local && marked != dst.marked {
		for i := range src {
			src[i].local = !src[i].marked
		}
		dst.local = !dst.marked
	}
	for i, e := range src {
		if e.local && dst.local {
			return nil, dst, cli.Usage("both sides are local; that is what cp is for")
		}
		if src[i].path, err = a.place(e); err != nil {
			return nil, dst, err
		}
	}
	dst.path, err = a.place(dst)
	return src, dst, err
}

// place returns the path of an end. An empty one is a variable that was not set
// rather than anything to copy.
func (a *app) place(e end) (string, error) {
	switch {
	case !e.local:
		return a.Path(e.path)
	case e.path == "":
		return "", cli.Usage("a local path is empty; the working directory is local:. and stdin or stdout is -")
	}
	return e.path, nil
}

// lastName returns the last element of a path, "" of those that name only the
// content of a directory, as "." and "src/.".
func lastName(p string) string {
	switch n := path.Base(p); n {
	case ".", "..", "/":
		return ""
	default:
		return n
	}
}

// into returns where a copy of src at dst goes on the server: into a
// directory, if dst is one.
func into(ctx context.Context, c *client.Client, dst, name string) (string, error) {
	slash := strings.HasSuffix(dst, "/")
	dst = path.Clean("/" + dst)
	i, err := c.Stat(ctx, dst)
	switch {
	case err == nil && i.IsDir:
		return path.Join(dst, name), nil
	case slash && err == nil:
		return "", cli.Usage("%s is not a directory", dst)
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return dst, nil
	}
	return "", err
}

// overlap reports whether one path is the other, or within it.
func overlap(a, b string) bool {
	under := func(p, dir string) bool { return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/") }
	return under(a, b) || under(b, a)
}

// whole opens a file for copying; one that is consumed by reading is refused.
func whole(c *client.Client) opener {
	return func(ctx context.Context, p string) (io.ReadCloser, error) {
		return c.OpenRange(ctx, p, client.Range{Off: 0, Size: -1})
	}
}

// matches returns the paths on the server that an argument names: itself if it is
// there or is no pattern, or what fits, by name; an error if nothing does. The shell
// has expanded patterns already.
func (a *app) matches(ctx context.Context, c *client.Client, arg string) ([]string, error) {
	if a.Shell != nil || !strings.ContainsAny(arg, "*?[") {
		return []string{arg}, nil
	}
	_, err := c.Stat(ctx, arg)
	if err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) {
		return []string{arg}, nil // its own errors, too
	}
	found := []string{"/"}
	for elem := range strings.SplitSeq(strings.Trim(path.Clean("/"+arg), "/"), "/") {
		var next []string
		for _, dir := range found {
			below, err := fitting(ctx, c, dir, elem)
			if err != nil {
				return nil, err
			}
			next = append(next, below...)
		}
		found = next
	}
	if len(found) == 0 {
		return nil, &cli.Hinted{Code: cli.ExitNoFile, Text: arg + ": nothing fits", Hint: "quote a name that has *, ? or [ in it: \\* is the star itself"}
	}
	return found, nil
}

// fitting returns what in a directory fits one element of a pattern. As in shells,
// a dot at the start is to be named.
func fitting(ctx context.Context, c *client.Client, dir, elem string) ([]string, error) {
	if !strings.ContainsAny(elem, `*?[\`) {
		if _, err := c.Stat(ctx, path.Join(dir, elem)); err != nil {
			return nil, unlessGone(err)
		}
		return []string{path.Join(dir, elem)}, nil
	}
	var out []string
	for i, err := range c.Entries(ctx, dir) {
		if err != nil {
			return nil, unlessGone(err)
		}
		ok, err := path.Match(elem, i.Name)
		if err != nil {
			return nil, cli.Usage("%q is not a pattern", elem)
		}
		if ok && (i.Name[0] != '.' || elem[0] == '.') {
			out = append(out, path.Join(dir, i.Name))
		}
	}
	return out, nil
}

// unlessGone returns no error of what only says that nothing is there.
func unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || cli.Code(err) == cli.ExitUsage || isNotDirectory(err) {
		return nil
	}
	return err
}

// realFile returns the file that a local path leads to, through links, and its root.
func realFile(file string) (*os.Root, string, error) {
	if at, err := filepath.EvalSymlinks(file); err == nil {
		file = at
	}
	root, err := os.OpenRoot(filepath.Dir(file))
	return root, filepath.Base(file), err
}
