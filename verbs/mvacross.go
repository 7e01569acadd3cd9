package verbs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// otherMount reports whether a rename was refused because it leads to another mount.
// The words are those of AGFS; their kind has other causes as well.
func otherMount(err error) bool {
	return errors.Is(err, vfs.Unsupported) && strings.Contains(err.Error(), "cannot rename across different mounts")
}

// across moves to another mount of a server: it copies, compares digests, and then
// removes the source, if all of it arrived and it is as it was when the copy began.
// What is at the destination gives way as in a rename.
func (m *mover) across(ctx context.Context, c *client.Client, src, dst end) error {
	if len(m.opts) > 0 {
		return cli.Usage("--if-match and --idempotency-key are for moves within a mount, and %s is in another", dst.path)
	}
	from, err := c.Stat(ctx, src.path)
	if err != nil {
		return err
	}
	from.IsDir = from.IsDir && !from.IsLink()
	over, err := mayReplace(ctx, c, from, dst.path)
	if err != nil {
		return err
	}
	cs, err := m.app.reach(src)
	if err != nil {
		return err
	}
	k, err := m.copier(false)
	if err != nil {
		return err
	}
	defer k.moved.files.close()
	if !from.IsDir {
		return m.fileAcross(ctx, k, cs, src.path, dst.path, from, over)
	}
	l := &leg{k, &remoteTree{clients: cs, root: path.Clean("/" + src.path)}, &remoteTree{clients: cs, root: dst.path}}
	if err = k.treeWhole(ctx, l, src.path); err == nil {
		err = l.dst.attr(ctx, ".", fs.FileMode(from.Mode), from.ModTime)
	}
	if err != nil {
		return err
	}
	return l.clear(ctx)
}

// treeWhole copies a tree that is to be removed then: all of it.
func (k *copier) treeWhole(ctx context.Context, l *leg, name string) error {
	if err := k.several(ctx, l.survey, func(give func(job)) error { return l.whole(ctx, give) }, nil); err != nil {
		return err
	}
	if k.left.Load() > 0 {
		return stays(name, "not all of it could be copied")
	}
	return nil
}

// fileAcross moves a file or a link. In the place of a link it goes under another
// name first: to write there would write to what that link leads to.
func (m *mover) fileAcross(ctx context.Context, k *copier, cs []*client.Client, from, to string, i client.Info, over bool) error {
	e := infoEntry(i)
	if e.why != "" {
		return stays(from, "it is "+e.why)
	}
	c, at := cs[0], to
	if over {
		at = aside(to)
	}
	l := &leg{k, &remoteTree{clients: cs[:1], root: "/"}, &remoteTree{clients: cs[:1], root: "/"}}
	job := func(ctx context.Context) error {
		return l.link(ctx, strings.Trim(path.Clean(from), "/"), strings.Trim(at, "/"), nil)
	}
	if !i.IsLink() {
		job = l.single(strings.Trim(path.Clean(from), "/"), strings.Trim(at, "/"), e)
	}
	err := k.one(ctx, &way{file: job})
	if err == nil && over {
		err = settle(ctx, c, at, to)
	}
	if err != nil && over {
		ctx, cancel := after(ctx)
		defer cancel()
		_ = c.Remove(ctx, at) // it may not be there
	}
	if err != nil {
		return err
	}
	return l.clear(ctx)
}

// stays is the error of a source that was not removed.
func stays(p, why string) error {
	return &cli.Hinted{Code: cli.ExitPartial, Text: p + ": " + why + "; it stays where it was"}
}

// mayReplace reports whether a link is where something is to be moved, and refuses
// what a rename would refuse.
func mayReplace(ctx context.Context, c *client.Client, from client.Info, to string) (isLink bool, err error) {
	there, err := c.Stat(ctx, to)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	refused := func(k vfs.Kind) (bool, error) { return false, &fs.PathError{Op: "rename", Path: to, Err: k} }
	switch dir := there.IsDir && !there.IsLink(); {
	case err != nil:
		return false, err
	case from.IsDir && !dir:
		return refused(vfs.NotDirectory)
	case !from.IsDir && dir:
		return refused(vfs.IsDirectory)
	case !dir:
		return there.IsLink(), nil
	}
	for _, err := range c.Entries(ctx, to) {
		if err != nil {
			return false, err
		}
		return refused(vfs.NotEmpty)
	}
	return false, nil
}

// aside is a new name beside p.
func aside(p string) string { return path.Join(path.Dir(p), unfinished+rand.Text()) }

// settle gives what is at tmp the name of a file or a link, which goes only now. A
// mount that keeps its links beside its files does not put one in the place of the
// other: there the old one makes way, and comes back if that is in vain.
func settle(ctx context.Context, c *client.Client, tmp, p string) error {
	err := c.Rename(ctx, tmp, p)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	old := aside(p)
	if err := c.Rename(ctx, p, old); err != nil {
		return err
	}
	there, cancel := after(ctx)
	defer cancel()
	if err = c.Rename(there, tmp, p); err == nil {
		return c.Remove(there, old)
	}
	back, cancel := after(ctx)
	defer cancel()
	if berr := c.Rename(back, old, p); berr != nil {
		return errors.Join(err, fmt.Errorf("what was at %s may be %s now: %w", p, old, berr))
	}
	return err
}

// relink makes a link in the place of another one or of a file, which goes only once
// the new one stands.
func relink(ctx context.Context, c *client.Client, target, p string) error {
	tmp := aside(p)
	if err := c.Symlink(ctx, target, tmp); err != nil {
		return err
	}
	err := settle(ctx, c, tmp, p)
	if err != nil {
		ctx, cancel := after(ctx)
		defer cancel()
		_ = c.Remove(ctx, tmp) // perhaps it has the new name already
	}
	return err
}
