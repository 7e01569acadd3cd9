package verbs

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

func (a *app) get() *cobra.Command {
	return &cobra.Command{Use: "get path [file]", Short: "Read a path into a local file, or - for stdout", Args: cobra.RangeArgs(1, 2),
		SuggestFor: []string{"download", "fetch"},
		Long: `Reads a path into a local file of the same name, or of the given one, which
appears whole or not at all. - is stdout. In the shell the file is to be named, as
local:FILE.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.Path(args[0])
			if err != nil {
				return err
			}
			local := lastName(p)
			if len(args) == 2 {
				local = args[1]
			}
			local, err = a.Local(local)
			if err != nil {
				return err
			}
			return a.With(cmd, func(ctx context.Context, c *client.Client) error {
				file, err := inside(local, p)
				if err != nil {
					return err
				}
				n, err := a.fetch(ctx, c.Open, p, file, 0o666)
				if err == nil && a.JSON() && local != "-" {
					return a.Encode(map[string]any{"path": p, "file": file, "bytes": n})
				}
				return err
			})
		}}
}

// inside returns where a copy of p at local goes: into a directory, if local
// is one.
func inside(local, p string) (string, error) {
	st, err := os.Stat(local)
	if err != nil || !st.IsDir() {
		return local, nil
	}
	name := lastName(p)
	if name == "" {
		return local, nil
	}
	return filepath.Join(local, name), localName(name)
}

// localName refuses a name of the server that on this machine is none, or leads
// somewhere else.
func localName(name string) error {
	if !filepath.IsLocal(name) || strings.ContainsRune(name, '/') || filepath.Separator == '\\' && strings.ContainsRune(name, '\\') {
		return cli.Usage("%q is no name of a file on this machine; name the file to write", name)
	}
	return nil
}

// opener opens a file on the server.
type opener func(ctx context.Context, path string) (io.ReadCloser, error)

// fetch reads a path into a local file, or stdout, and tells its length.
func (a *app) fetch(ctx context.Context, open opener, p, local string, mode fs.FileMode) (int64, error) {
	bar := a.Progress(-1)
	defer bar.Finish()
	if local == "-" {
		return pull(ctx, open, p, a.Stdout)
	}
	if at, err := filepath.EvalSymlinks(local); err == nil {
		local = at // what a link leads to is replaced, not the link
	}
	if st, err := os.Stat(local); err == nil && !st.Mode().IsRegular() && !st.IsDir() {
		f, err := os.OpenFile(local, os.O_WRONLY, 0) // a device or a pipe
		if err != nil {
			return 0, err
		}
		n, err := pull(ctx, open, p, f)
		return n, errors.Join(err, f.Close())
	}
	root, err := os.OpenRoot(filepath.Dir(local))
	if err != nil {
		return 0, err
	}
	defer root.Close()
	return place(root, filepath.Base(local), placing{mode: mode}, func(w io.Writer) (int64, error) {
		return pull(ctx, open, p, bar.Writer(w))
	})
}

// pull copies a file on the server to w.
func pull(ctx context.Context, open opener, p string, w io.Writer) (int64, error) {
	r, err := open(ctx, p)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(w, r)
}

// unfinished is how the name of a file begins that place has not finished.
const unfinished = ".pfs-"

// placing is how a file is made.
type placing struct {
	mode    fs.FileMode // less the umask, unless it replaces a file: then that of it
	only    bool        // it replaces none, which is fs.ErrExist
	durable bool        // it has its name only once its content is synced
}

// place makes a file below root of what fill writes. It appears whole or not at all.
func place(root *os.Root, name string, how placing, fill func(io.Writer) (int64, error)) (int64, error) {
	tmp := filepath.Join(filepath.Dir(name), unfinished+rand.Text())
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, how.mode)
	if err != nil {
		return 0, err
	}
	_ = lock(f) // without, it is only not told from one that was left
	n, err := fill(f)
	if st, serr := root.Lstat(name); err == nil && serr == nil && st.Mode().IsRegular() {
		err = f.Chmod(st.Mode().Perm())
	}
	if err == nil && how.durable {
		err = syncFile(f)
	}
	switch err = errors.Join(err, f.Close()); {
	case err == nil && how.only:
		err = rename(root, tmp, name)
	case err == nil:
		err = root.Rename(tmp, name)
	}
	if err != nil {
		return n, errors.Join(err, root.Remove(tmp))
	}
	return n, nil
}

// rename gives a file a name that no other has, which would be fs.ErrExist.
func rename(root *os.Root, from, to string) error {
	err := root.Link(from, to)
	switch {
	case err == nil:
		return root.Remove(from)
	case errors.Is(err, fs.ErrExist):
		return err
	}
	if _, err := root.Lstat(to); err == nil { // a filesystem without hard links
		return &fs.PathError{Op: "rename", Path: to, Err: fs.ErrExist}
	}
	return root.Rename(from, to)
}
