package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/pfs-project/pfs/client"
)

// copier copies trees with several files at a time, spread over the clients.
type copier struct {
	app       *app
	clients   []*client.Client
	jobs      int
	recursive bool

	files, bytes, failed atomic.Int64
}

// job copies one file and says how many bytes it held.
type job func(ctx context.Context, c *client.Client) (int64, error)

// run does the jobs that feed gives, and reports each failure.
func (k *copier) run(ctx context.Context, feed func(give func(job)) error) error {
	jobs := make(chan job)
	bar := k.app.progress(-1)
	var wg sync.WaitGroup
	for i := range k.jobs {
		wg.Go(func() {
			for j := range jobs {
				n, err := j(ctx, k.clients[i%len(k.clients)])
				k.files.Add(1)
				if err != nil {
					k.failed.Add(1)
					fmt.Fprintln(k.app.stderr, "pfs: "+explain(err))
					continue
				}
				k.bytes.Add(n)
				bar.add(n)
			}
		})
	}
	err := feed(func(j job) {
		select {
		case jobs <- j:
		case <-ctx.Done():
		}
	})
	close(jobs)
	wg.Wait()
	bar.finish()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	if f := k.failed.Load(); f > 0 {
		return partialError{int(f), int(k.files.Load())}
	}
	return k.summary()
}

// in copies from this machine to the server. Links are copied as links, other
// special files are left out with a word.
func (k *copier) in(ctx context.Context, local, dst string) error {
	st, err := os.Stat(local)
	if err != nil {
		return err
	}
	c := k.clients[0]
	if i, err := c.Stat(ctx, dst); err == nil && i.IsDir && !st.IsDir() {
		dst = path.Join(dst, filepath.Base(local))
	}
	if !st.IsDir() {
		_, err := k.app.send(ctx, c, local, dst, nil)
		return err
	}
	if !k.recursive {
		return usage("%s is a directory; use -r", local)
	}
	return k.run(ctx, func(give func(job)) error {
		return filepath.WalkDir(local, func(file string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(local, file)
			if err != nil {
				return err
			}
			to := path.Join(dst, filepath.ToSlash(rel))
			switch {
			case d.IsDir():
				return mkdirAll(ctx, c, to, 0o755)
			case d.Type()&fs.ModeSymlink != 0:
				target, err := os.Readlink(file)
				if err != nil {
					return err
				}
				give(func(ctx context.Context, c *client.Client) (int64, error) {
					return 0, c.Symlink(ctx, target, to)
				})
			case d.Type().IsRegular():
				give(func(ctx context.Context, c *client.Client) (int64, error) { return upload(ctx, c, file, to) })
			default:
				fmt.Fprintf(k.app.stderr, "pfs: %s is not a file, a directory or a link; left out\n", file)
			}
			return ctx.Err()
		})
	})
}

// small is up to what size a file is sent from memory, so that it can be
// repeated without opening it again.
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
	if st.Size() <= small {
		b, err := io.ReadAll(io.LimitReader(f, small+1))
		if err == nil && len(b) <= small {
			_, err = c.WriteFile(ctx, to, b)
		}
		return int64(len(b)), err
	}
	_, err = c.Write(ctx, to, f, st.Size())
	return st.Size(), err
}

// out copies from the server to this machine.
func (k *copier) out(ctx context.Context, src, local string) error {
	c := k.clients[0]
	i, err := c.Stat(ctx, src)
	if err != nil {
		return err
	}
	if !i.IsDir {
		if st, err := os.Stat(local); err == nil && st.IsDir() {
			local = filepath.Join(local, path.Base(src))
		}
		return k.app.fetch(ctx, c, src, local)
	}
	if !k.recursive {
		return usage("%s is a directory; use -r", src)
	}
	return k.run(ctx, func(give func(job)) error {
		return k.walk(ctx, c, src, "", func(rel string, i client.Info) error {
			to := filepath.Join(local, filepath.FromSlash(rel))
			if !filepath.IsLocal(filepath.FromSlash(rel)) && rel != "" {
				return usage("%s would be written outside %s", rel, local)
			}
			from := path.Join(src, rel)
			switch {
			case i.IsLink():
				target, err := c.Readlink(ctx, from)
				if err != nil {
					return err
				}
				return os.Symlink(target, to)
			case i.IsDir:
				return os.MkdirAll(to, 0o755)
			}
			give(func(ctx context.Context, c *client.Client) (int64, error) {
				return i.Size, k.app.fetch(ctx, c, from, to)
			})
			return nil
		})
	})
}

// within copies on the server, through this machine.
func (k *copier) within(ctx context.Context, src, dst string) error {
	c := k.clients[0]
	i, err := c.Stat(ctx, src)
	if err != nil {
		return err
	}
	if d, err := c.Stat(ctx, dst); err == nil && d.IsDir && !i.IsDir {
		dst = path.Join(dst, path.Base(src))
	}
	if i.IsDir && !k.recursive {
		return usage("%s is a directory; use -r", src)
	}
	one := func(from, to string, size int64) job {
		return func(ctx context.Context, c *client.Client) (int64, error) {
			r, err := c.Open(ctx, from)
			if err != nil {
				return 0, err
			}
			defer r.Close()
			_, err = c.Write(ctx, to, struct{ io.Reader }{r}, -1)
			return size, err
		}
	}
	if !i.IsDir {
		_, err := one(src, dst, i.Size)(ctx, c)
		return err
	}
	return k.run(ctx, func(give func(job)) error {
		return k.walk(ctx, c, src, "", func(rel string, i client.Info) error {
			if i.IsDir && !i.IsLink() {
				return mkdirAll(ctx, c, path.Join(dst, rel), 0o755)
			}
			give(one(path.Join(src, rel), path.Join(dst, rel), i.Size))
			return nil
		})
	})
}

// walk visits a directory on the server and all below it, directories first.
// Consuming files are never touched.
func (k *copier) walk(ctx context.Context, c *client.Client, root, rel string, visit func(rel string, i client.Info) error) error {
	if rel == "" {
		if err := visit("", client.Info{IsDir: true}); err != nil {
			return err
		}
	}
	infos, err := c.List(ctx, path.Join(root, rel))
	if err != nil {
		return err
	}
	for _, i := range infos {
		if i.Consumes() {
			continue
		}
		at := path.Join(rel, i.Name)
		if err := visit(at, i); err != nil {
			return err
		}
		if i.IsDir && !i.IsLink() {
			if err := k.walk(ctx, c, root, at, visit); err != nil {
				return err
			}
		}
	}
	return nil
}
