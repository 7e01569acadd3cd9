package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"sync/atomic"

	"github.com/pfs-project/pfs/client"
)

// copier copies files, several at a time, spread over the clients.
type copier struct {
	app       *app
	clients   []*client.Client
	jobs      int
	recursive bool

	bar   progress
	bytes atomic.Int64
	mu    sync.Mutex
	count partialError // of files, links and what could not be looked at
}

// job copies one file and says how many bytes it held.
type job func(ctx context.Context, c *client.Client) (int64, error)

// one does one job, whose error is that of the copy.
func (k *copier) one(ctx context.Context, j job) error {
	n, err := j(ctx, k.clients[0])
	if err != nil {
		return err
	}
	k.bytes.Add(n)
	k.count.add(nil)
	return k.summary()
}

// tree does the jobs that feed gives, and reports each failure.
func (k *copier) tree(ctx context.Context, feed func(give func(job)) error) error {
	jobs := make(chan job)
	k.bar = k.app.progress(-1)
	var wg sync.WaitGroup
	for i := range k.jobs {
		wg.Go(func() {
			for j := range jobs {
				n, err := j(ctx, k.clients[i%len(k.clients)])
				k.done(ctx, n, err)
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
	k.bar.finish()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	if err := k.summary(); err != nil {
		return err
	}
	return k.count.result()
}

// done counts a file that was copied, or not.
func (k *copier) done(ctx context.Context, n int64, err error) {
	if err != nil && ctx.Err() != nil {
		return // told once, as the end of all
	}
	k.mu.Lock()
	k.count.add(err)
	k.mu.Unlock()
	if err != nil {
		k.app.say("pfs: %s", explain(err))
		return
	}
	k.bytes.Add(n)
	k.bar.add(n)
}

// summary prints what a copy did, for people and for programs.
func (k *copier) summary() error {
	files := int64(k.count.total - k.count.failed)
	if k.app.json() {
		return k.app.encode(map[string]int64{"files": files, "bytes": k.bytes.Load(), "failed": int64(k.count.failed)})
	}
	if !k.app.quiet {
		fmt.Fprintf(k.app.stderr, "%d files, %d bytes\n", files, k.bytes.Load())
	}
	return nil
}

// leaveOut says that a file is not copied.
func (k *copier) leaveOut(name, why string) {
	if !k.app.quiet {
		k.app.say("pfs: %s is %s; left out", name, why)
	}
}

// directory refuses a directory that was not meant.
func (k *copier) directory(name string) error {
	if k.recursive {
		return nil
	}
	return usage("%s is a directory; use -r", name)
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
	dst = path.Clean("/" + dst)
	i, err := c.Stat(ctx, dst)
	switch {
	case err == nil && i.IsDir:
		return path.Join(dst, name), nil
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return dst, nil
	}
	return "", err
}

// link makes a link on the server, in the place of another one.
func link(ctx context.Context, c *client.Client, target, p string) error {
	err := c.Symlink(ctx, target, p)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	switch old, lerr := c.Readlink(ctx, p); {
	case lerr != nil:
		return err
	case old == target:
		return nil
	}
	if err := c.Remove(ctx, p); err != nil {
		return err
	}
	return c.Symlink(ctx, target, p)
}

// walk visits a directory on the server and all below it, directories first.
// What commands something is left out. A directory below that cannot be listed
// is counted as failed; what visit returns ends the walk.
func (k *copier) walk(ctx context.Context, root, rel string, visit func(rel string, i client.Info) error) error {
	for i, err := range k.clients[0].Entries(ctx, path.Join(root, rel)) {
		if err != nil {
			if rel == "" || ctx.Err() != nil {
				return err
			}
			k.done(ctx, 0, err)
			return nil
		}
		at := path.Join(rel, i.Name)
		if i.Control() {
			k.leaveOut(path.Join(root, at), "there to command, not to hold content")
			continue
		}
		err := visit(at, i)
		switch {
		case err == fs.SkipDir:
			continue
		case err != nil:
			return err
		}
		if i.IsDir && !i.IsLink() {
			if err := k.walk(ctx, root, at, visit); err != nil {
				return err
			}
		}
	}
	return nil
}
