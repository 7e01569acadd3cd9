package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// in copies from this machine to the server.
func (k *copier) in(ctx context.Context, local, dst string) error {
	c := k.clients[0]
	if local == "-" || local == "" {
		return k.one(ctx, func(ctx context.Context, c *client.Client) (int64, error) {
			_, n, err := k.app.send(ctx, c, "-", dst)
			return n, err
		})
	}
	st, err := os.Stat(local)
	if err != nil {
		return err
	}
	if dst, err = into(ctx, c, dst, lastName(filepath.ToSlash(local))); err != nil {
		return err
	}
	if !st.IsDir() {
		return k.one(ctx, func(ctx context.Context, c *client.Client) (int64, error) {
			_, n, err := k.app.send(ctx, c, local, dst)
			return n, keepExec(ctx, c, dst, st.Mode(), err)
		})
	}
	if err := k.directory(local); err != nil {
		return err
	}
	if local, err = filepath.EvalSymlinks(local); err != nil {
		return err
	}
	return k.tree(ctx, func(give func(job)) error {
		return filepath.WalkDir(local, func(file string, d fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			rel, rerr := filepath.Rel(local, file)
			if err = errors.Join(err, rerr); err != nil {
				if file == local {
					return err
				}
				k.done(ctx, 0, err)
				return nil
			}
			return k.visitLocal(ctx, file, path.Join(dst, filepath.ToSlash(rel)), d, give)
		})
	})
}

// visitLocal gives the job for one entry of a local directory.
func (k *copier) visitLocal(ctx context.Context, file, to string, d fs.DirEntry, give func(job)) error {
	switch t := d.Type(); {
	case d.IsDir():
		mode := fs.FileMode(0o755)
		if st, err := d.Info(); err == nil {
			mode = st.Mode().Perm()
		}
		if err := mkdirAll(ctx, k.clients[0], to, uint32(mode)); err != nil {
			k.done(ctx, 0, err)
			return fs.SkipDir
		}
	case t&fs.ModeSymlink != 0:
		give(func(ctx context.Context, c *client.Client) (int64, error) {
			target, err := os.Readlink(file)
			if err != nil {
				return 0, err
			}
			return 0, link(ctx, c, filepath.ToSlash(target), to)
		})
	case t.IsRegular():
		give(func(ctx context.Context, c *client.Client) (int64, error) { return upload(ctx, c, file, to) })
	default:
		k.leaveOut(file, "neither a file, a directory nor a link")
	}
	return nil
}

// small is up to what size a file is sent from memory.
const small = 256 << 10

func upload(ctx context.Context, c *client.Client, file, to string) (int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	n := st.Size()
	if n <= small {
		var b bytes.Buffer
		b.Grow(int(n) + 1)
		if _, err = io.Copy(&b, io.LimitReader(f, n)); err == nil {
			_, err = c.WriteFile(ctx, to, b.Bytes())
		}
		n = int64(b.Len())
	} else {
		_, err = c.Write(ctx, to, f, n)
	}
	return n, keepExec(ctx, c, to, st.Mode(), err)
}

// keepExec makes a file on the server executable if the local one was; err is
// that of writing it. Where modes are not kept, that is no failure.
func keepExec(ctx context.Context, c *client.Client, p string, mode fs.FileMode, err error) error {
	if err != nil || mode&0o111 == 0 {
		return err
	}
	if err = c.Chmod(ctx, p, uint32(mode.Perm())); errors.Is(err, vfs.Unsupported) {
		return nil
	}
	return err
}
