package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/pfs-project/pfs/client"
)

// whole opens a file for copying; one that is consumed by reading is refused.
func whole(c *client.Client) opener {
	return func(ctx context.Context, p string) (io.ReadCloser, error) {
		return c.OpenRange(ctx, p, client.Range{Off: 0, Size: -1})
	}
}

// localMode is the mode of a copy on this machine.
func localMode(i client.Info) fs.FileMode {
	if i.IsLink() {
		return 0o666 // the link's own mode says nothing
	}
	return 0o666 | fs.FileMode(i.Mode)&0o111
}

// out copies from the server to this machine.
func (k *copier) out(ctx context.Context, src, local string) error {
	c := k.clients[0]
	i, err := c.Stat(ctx, src)
	if err != nil {
		return err
	}
	if local == "" {
		local = "-"
	}
	if !i.IsDir {
		return k.one(ctx, func(ctx context.Context, c *client.Client) (int64, error) {
			return k.app.fetch(ctx, whole(c), src, inside(local, src), localMode(i))
		})
	}
	if err := k.directory(src); err != nil {
		return err
	}
	if local == "-" {
		return usage("%s is a directory; it does not fit into stdout", src)
	}
	local = inside(local, src)
	if err := os.MkdirAll(local, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(local) // whatever names the server gives, all stays below it
	if err != nil {
		return err
	}
	defer root.Close()
	return k.tree(ctx, func(give func(job)) error {
		return k.walk(ctx, src, "", func(rel string, i client.Info) error {
			return k.visitRemote(ctx, root, path.Join(src, rel), filepath.FromSlash(rel), i, give)
		})
	})
}

// visitRemote gives the job for one entry of a directory on the server.
func (k *copier) visitRemote(ctx context.Context, root *os.Root, from, to string, i client.Info, give func(job)) error {
	switch {
	case i.IsLink():
		give(func(ctx context.Context, c *client.Client) (int64, error) {
			target, err := c.Readlink(ctx, from)
			if err != nil {
				return 0, err
			}
			return 0, linkLocal(root, filepath.FromSlash(target), to)
		})
	case i.IsDir:
		if err := root.MkdirAll(to, 0o700|fs.FileMode(i.Mode).Perm()); err != nil {
			k.done(ctx, 0, err)
			return fs.SkipDir
		}
	default:
		give(func(ctx context.Context, c *client.Client) (int64, error) {
			return place(root, to, localMode(i), func(w io.Writer) (int64, error) {
				return pull(ctx, whole(c), from, w)
			})
		})
	}
	return nil
}

// linkLocal makes a link below root, in the place of another one.
func linkLocal(root *os.Root, target, name string) error {
	err := root.Symlink(target, name)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	switch old, lerr := root.Readlink(name); {
	case lerr != nil:
		return err
	case old == target:
		return nil
	}
	if err := root.Remove(name); err != nil {
		return err
	}
	return root.Symlink(target, name)
}

// within copies on the server, through this machine.
func (k *copier) within(ctx context.Context, src, dst string) error {
	c := k.clients[0]
	i, err := c.Stat(ctx, src)
	if err != nil {
		return err
	}
	if dst, err = into(ctx, c, dst, lastName(src)); err != nil {
		return err
	}
	src = path.Clean("/" + src)
	if i.IsLink() { // one that is named stands for what it leads to
		i = client.Info{IsDir: i.IsDir, Mode: 0o644}
	}
	if dst == src || i.IsDir && strings.HasPrefix(dst, strings.TrimSuffix(src, "/")+"/") {
		return usage("%s cannot be copied to %s: that is itself, or within it", src, dst)
	}
	if !i.IsDir {
		return k.one(ctx, again(src, dst, i))
	}
	if err := k.directory(src); err != nil {
		return err
	}
	return k.tree(ctx, func(give func(job)) error {
		if err := mkdirAll(ctx, c, dst, 0o755); err != nil {
			return err
		}
		return k.walk(ctx, src, "", func(rel string, i client.Info) error {
			from, to := path.Join(src, rel), path.Join(dst, rel)
			if i.IsDir && !i.IsLink() {
				if err := mkdirAll(ctx, c, to, i.Mode); err != nil {
					k.done(ctx, 0, err)
					return fs.SkipDir
				}
				return nil
			}
			give(again(from, to, i))
			return nil
		})
	})
}

// again is the job to write a file once more under another name.
func again(from, to string, i client.Info) job {
	return func(ctx context.Context, c *client.Client) (int64, error) {
		if i.IsLink() {
			target, err := c.Readlink(ctx, from)
			if err != nil {
				return 0, err
			}
			return 0, link(ctx, c, target, to)
		}
		r, err := whole(c)(ctx, from)
		if err != nil {
			return 0, err
		}
		defer r.Close()
		in := &counted{r: r}
		_, err = c.Write(ctx, to, onlyReader{in}, -1)
		return in.n.Load(), keepExec(ctx, c, to, fs.FileMode(i.Mode), err)
	}
}
