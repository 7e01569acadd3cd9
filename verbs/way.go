package verbs

import (
	"bytes"
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
	"github.com/pfs-project/pfs/vfs"
)

// way is from one source to where its copy goes: a file, or a tree.
type way struct {
	file  job
	tree  *leg // or nil
	by    *leg // that copies the file, or nil
	turn  bool // the file is copied in its turn: others go to the same place
	taken *taken
	roots []*os.Root
}

// errUntried is the end of a way that was not gone.
var errUntried = errors.New("nothing was copied")

func (w *way) close() {
	w.taken.end(errUntried)
	for _, r := range w.roots {
		_ = r.Close() // nothing was written to it
	}
}

// add has the way close a root.
func (w *way) add(r *os.Root) *os.Root {
	w.roots = append(w.roots, r)
	return r
}

// spread puts what patterns fit in their place.
func (k *copier) spread(ctx context.Context, srcs []end) ([]end, error) {
	var out []end
	for _, src := range srcs {
		var found []string
		var err error
		if src.local {
			found = k.app.localMatches(src.path)
		} else {
			var cs []*client.Client
			if cs, err = k.app.reach(src); err == nil {
				found, err = k.app.matches(ctx, cs[0], src.path)
			}
		}
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			one := src
			one.path = p
			out = append(out, one)
		}
	}
	return out, nil
}

// localMatches returns what a pattern fits, or itself.
func (a *app) localMatches(arg string) []string {
	if _, err := os.Lstat(arg); a.Shell != nil || err == nil {
		return []string{arg}
	}
	if found, err := filepath.Glob(arg); err == nil && len(found) > 0 {
		return found
	}
	return []string{arg}
}

// way finds the way; several: other sources have the same destination, which is a
// directory therefore.
func (k *copier) way(ctx context.Context, src, dst end, several bool) (*way, error) {
	w := &way{}
	var err error
	switch {
	case src.local && dst.local:
		err = cli.Usage("both sides are local; that is what cp is for")
	case src.local:
		err = k.up(ctx, w, src, dst, several)
	case dst.local:
		err = k.down(ctx, w, src, dst, several)
	default:
		err = k.across(ctx, w, src, dst, several)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// landing returns where on the server a copy goes.
func (k *copier) landing(ctx context.Context, w *way, c *client.Client, dst, src end, several bool) (string, error) {
	name := "-" // of stdin
	if src.path != "-" || !src.local {
		name = lastName(filepath.ToSlash(src.path))
	}
	if !several {
		return into(ctx, c, dst.path, name)
	}
	if i, err := c.Stat(ctx, dst.path); err != nil {
		return "", err
	} else if !i.IsDir {
		return "", cli.Usage("%s is not a directory", dst.path)
	}
	at := path.Join("/", dst.path, name)
	if name == "" {
		return at, nil // what is in directories is brought together
	}
	var err error
	w.taken, err = k.made.take(ctx, at, src.path)
	return at, err
}

// directory refuses a directory that was not meant.
func (k *copier) directory(name string) error {
	if k.recursive {
		return nil
	}
	return cli.Usage("%s is a directory; use -r", name)
}

// up finds the way from this machine to a server.
func (k *copier) up(ctx context.Context, w *way, src, dst end, several bool) error {
	cs, err := k.app.reach(dst)
	if err != nil {
		return err
	}
	if src.path == "-" {
		to, err := k.landing(ctx, w, cs[0], dst, src, several)
		w.file = k.counted(func(ctx context.Context) (int64, error) { return k.stdin(ctx, cs[0], to) })
		return err
	}
	st, err := os.Stat(src.path)
	if err != nil {
		return err
	}
	if st.IsDir() {
		if err := k.directory(src.path); err != nil {
			return err
		}
	}
	to, err := k.landing(ctx, w, cs[0], dst, src, several)
	switch {
	case err != nil:
		return err
	case !st.IsDir() && !st.Mode().IsRegular():
		return cli.Usage("%s is not a regular file; pipe it in with -", src.path)
	case !st.IsDir():
		root, name, err := realFile(src.path)
		if err != nil {
			return err
		}
		l := &leg{k, &localTree{root: w.add(root)}, &remoteTree{clients: cs, root: "/"}}
		w.by, w.file = l, l.single(name, strings.TrimPrefix(to, "/"), entry{name: name, mode: st.Mode(), size: st.Size(), time: st.ModTime()})
		return nil
	}
	root, err := os.OpenRoot(src.path)
	if err != nil {
		return err
	}
	w.tree = &leg{k, &localTree{root: w.add(root), anyway: true}, &remoteTree{clients: cs, root: to}}
	return nil
}

// single is the job to copy a file from one name to another.
func (k *leg) single(from, to string, e entry) job {
	k.meter.allFiles.Add(1)
	k.meter.allBytes.Add(max(e.size, 0))
	return func(ctx context.Context) error { return k.file(ctx, from, to, e, nil) }
}

// stdin copies stdin.
func (k *copier) stdin(ctx context.Context, c *client.Client, to string) (int64, error) {
	if k.keep {
		if _, err := c.Stat(ctx, to); err == nil {
			return k.kept()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	if !k.act("copy", to) {
		return 0, nil
	}
	if k.keep {
		return k.stdinOnce(ctx, c, to)
	}
	_, n, err := k.app.sendStdin(ctx, c, k.app.Stdin, to)
	return n, err
}

// stdinOnce copies stdin to where nothing is.
func (k *copier) stdinOnce(ctx context.Context, c *client.Client, to string) (int64, error) {
	head := make([]byte, held+1) // the last byte tells that there is more than may be sent twice
	got, err := io.ReadFull(k.app.Stdin, head)
	var again, in io.Reader // again: all of it, if it is to be had twice
	switch head = head[:got]; {
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		in, again = bytes.NewReader(head), bytes.NewReader(head)
	case err == nil:
		in = io.MultiReader(bytes.NewReader(head), k.app.Stdin)
	default:
		return 0, err
	}
	_, n, err := k.app.sendStdin(ctx, c, in, to, client.IfAbsent())
	switch {
	case errors.Is(err, vfs.Stale):
		return k.kept()
	case !errors.Is(err, vfs.Unsupported):
	case again == nil:
		err = &cli.Hinted{Code: cli.Code(err), Text: cli.Explain(err), Hint: "there -n takes no more than 32 KiB of stdin; copy a file, or leave out -n"}
	default: // that there was none is known
		_, n, err = k.app.sendStdin(ctx, c, again, to)
	}
	return n, err
}

// kept is the end of a copy of stdin where something is there that is to stay.
func (k *copier) kept() (int64, error) {
	k.meter.same.Add(1)
	k.copied.Add(-1) // it is counted
	return 0, nil
}

// counted is a job that says how many bytes it has copied.
func (k *copier) counted(do func(ctx context.Context) (int64, error)) job {
	return func(ctx context.Context) error {
		n, err := do(ctx)
		k.meter.bytes.Add(n)
		k.meter.moved.Add(n)
		if err == nil {
			k.copied.Add(1)
		}
		return err
	}
}

// down finds the way from a server to this machine.
func (k *copier) down(ctx context.Context, w *way, src, dst end, several bool) error {
	cs, err := k.app.reach(src)
	if err != nil {
		return err
	}
	i, err := cs[0].Stat(ctx, src.path)
	if err != nil {
		return err
	}
	if i.IsDir {
		if err := k.directory(src.path); err != nil {
			return err
		}
	}
	stdout := dst.path == "-"
	st, serr := os.Stat(dst.path)
	switch {
	case i.IsDir && stdout:
		return cli.Usage("%s is a directory; it does not fit into stdout", src.path)
	case several && !stdout && (serr != nil || !st.IsDir()):
		return cli.Usage("%s is not a directory", dst.path)
	case stdout, serr == nil && !st.IsDir() && !st.Mode().IsRegular(): // a device or a pipe
		w.turn = true
		w.file = k.counted(func(ctx context.Context) (int64, error) {
			if k.dry {
				k.act("copy", dst.path)
				return 0, nil
			}
			return k.app.fetch(ctx, whole(cs[0]), src.path, dst.path, 0o666)
		})
		return nil
	}
	at, err := inside(dst.path, src.path)
	if err == nil && several && lastName(src.path) != "" {
		w.taken, err = k.made.take(ctx, at, src.path)
	}
	if err != nil {
		return err
	}
	if !i.IsDir {
		root, name, err := realFile(at)
		if err != nil {
			return err
		}
		l := &leg{k, &remoteTree{clients: cs, root: "/"}, &localTree{root: w.add(root), ours: true}}
		w.by, w.file = l, l.single(strings.TrimPrefix(path.Clean("/"+src.path), "/"), name, named(i))
		return nil
	}
	return k.downTree(w, &remoteTree{clients: cs, root: path.Clean("/" + src.path)}, at)
}

// downTree finds the way of a tree to a directory of this machine, and makes that.
func (k *copier) downTree(w *way, from *remoteTree, at string) error {
	to := &localTree{label: at, above: holders(at), ours: true}
	w.tree = &leg{k, from, to}
	if _, err := os.Stat(at); k.dry && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err := os.MkdirAll(at, 0o777)
	if err != nil {
		return err
	}
	if to.root, err = os.OpenRoot(at); err == nil {
		w.add(to.root)
	}
	return err
}

// named is the entry of a file that was named: a link stands for what it leads to.
func named(i client.Info) entry {
	e := entry{name: i.Name, mode: fs.FileMode(i.Mode) & fs.ModePerm, size: i.Size, time: i.ModTime}
	if i.IsLink() {
		e.mode, e.size = 0o644, -1 // its own say nothing
	}
	return e
}

// across finds the way from a server to itself or another, through this machine.
func (k *copier) across(ctx context.Context, w *way, src, dst end, several bool) error {
	from, err := k.app.reach(src)
	if err != nil {
		return err
	}
	to, err := k.app.reach(dst)
	if err != nil {
		return err
	}
	i, err := from[0].Stat(ctx, src.path)
	if err != nil {
		return err
	}
	at, err := k.landing(ctx, w, to[0], dst, src, several)
	if err != nil {
		return err
	}
	p := path.Clean("/" + src.path)
	if src.url == dst.url && (at == p || i.IsDir && strings.HasPrefix(at, strings.TrimSuffix(p, "/")+"/")) {
		return cli.Usage("%s cannot be copied to %s: that is itself, or within it", p, at)
	}
	if !i.IsDir {
		l := &leg{k, &remoteTree{clients: from, root: "/"}, &remoteTree{clients: to, root: "/"}}
		w.by, w.file = l, l.single(strings.TrimPrefix(p, "/"), strings.TrimPrefix(at, "/"), named(i))
		return nil
	}
	w.tree = &leg{k, &remoteTree{clients: from, root: p}, &remoteTree{clients: to, root: at}}
	return k.directory(src.path)
}

// isNotDirectory reports whether an error says that something is no directory.
func isNotDirectory(err error) bool { return errors.Is(err, vfs.NotDirectory) }
