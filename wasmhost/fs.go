package wasmhost

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// FS is one mount of a module.
type FS struct {
	host   *Host
	lib    vfs.Library
	env    vfs.Env
	config vfs.Config
	code   func(context.Context) ([]byte, error)
	mark   string    // among the mounts that a request has come through
	began  time.Time // what files have for a time that have none

	write chan struct{} // holds one while what is there is looked at before a change
	pool  *pool
	drops drops
}

var (
	_ vfs.Device  = (*FS)(nil)
	_ vfs.Putter  = (*FS)(nil)
	_ vfs.Starter = (*FS)(nil)
	_ vfs.Stater  = (*FS)(nil)
	_ io.Closer   = (*FS)(nil)
)

// Start compiles the module and makes the first instance: a mount whose settings
// the module refuses does not start.
func (f *FS) Start(ctx context.Context) error {
	l, err := bounds().Fill(f.lib.Limits)
	if err != nil {
		return err
	}
	module, err := f.code(ctx)
	if err != nil {
		return err
	}
	settings := maps.Clone(map[string]any(f.config))
	if settings == nil {
		settings = map[string]any{}
	}
	settings["mount_path"] = string(f.env.Mount)
	text, err := json.Marshal(settings)
	if err != nil {
		return vfs.Invalid.With(err.Error())
	}
	p, err := f.host.open(ctx, module, l, guestEnv{
		log: f.env.Log, name: f.lib.Name, tree: f.env.Tree, change: f.host.change, mount: f.env.Mount, grants: f.lib.Grants,
	})
	if err != nil {
		return err
	}
	f.began = time.Now().UTC().Truncate(time.Second)
	cluster := ""
	if f.env.Cluster != nil {
		cluster = f.env.Cluster()
	}
	f.mark = mark(cluster, f.env.Mount)
	f.pool = newPool(p, string(text), f.env.Starts, &f.drops)
	if err := f.pool.use(ctx, func(context.Context, *instance) error { return nil }); err != nil {
		p.close()
		f.pool = nil
		return err
	}
	return nil
}

// Close ends the mount. No call is under way.
func (f *FS) Close() error {
	if f.pool != nil {
		f.pool.close()
		f.pool.p.close()
		f.pool = nil
	}
	return nil
}

// MountState says how often the module had to be started again, and why the last
// time.
func (f *FS) MountState() vfs.MountState { return f.drops.state() }

// with runs do in an instance. A module that calls itself through the tree is
// refused: it would wait for itself.
func (f *FS) with(ctx context.Context, do func(*call) error) error {
	if f.pool == nil {
		return vfs.Unavailable.With("the plugin is not started")
	}
	ctx, err := enter(ctx, f.mark)
	if err != nil {
		return err
	}
	return f.pool.use(ctx, func(ctx context.Context, i *instance) error {
		c := i.begin(ctx)
		defer c.end()
		return do(c)
	})
}

// Stat describes the file at p.
func (f *FS) Stat(ctx context.Context, _ vfs.View, p vfs.Path) (i vfs.Info, err error) {
	err = f.with(ctx, func(c *call) (err error) {
		i, err = f.stat(c, p)
		return err
	})
	return i, err
}

func (f *FS) stat(c *call, p vfs.Path) (vfs.Info, error) {
	text, err := c.both("fs_stat", p)
	if p.IsRoot() && (vfs.KindOf(err) == vfs.NotFound || err == nil && text == "") {
		return vfs.Info{Name: p.Base(), Mode: vfs.ModeDir | 0o755, ModTime: f.began}, nil // not all think of it
	}
	if err != nil {
		return vfs.Info{}, err
	}
	if text == "" {
		return vfs.Info{}, vfs.NotFound
	}
	i, err := parseFile(text, p, f.began)
	if err == nil && p.IsRoot() && !i.IsDir() {
		err = vfs.Crashed.With("the plugin is wrong: its root is no directory")
	}
	return i, err
}

// both calls an export that answers with a text or an error, of a path.
func (c *call) both(name string, p vfs.Path) (string, error) {
	at, err := c.str(string(p))
	if err != nil {
		return "", err
	}
	low, high, err := c.run(name, at)
	if err != nil {
		return "", err
	}
	if high != 0 {
		text, err := c.text(high, maxErrorText)
		if err == nil {
			err = vfs.Said(text)
		}
		return "", err
	}
	return c.text(low, maxJSON)
}

// List names what is in the directory at p.
func (f *FS) List(ctx context.Context, _ vfs.View, p vfs.Path, after string, limit int) (out []vfs.Info, err error) {
	err = f.with(ctx, func(c *call) error {
		if !p.IsRoot() { // which is one in any case
			switch i, err := f.stat(c, p); {
			case err != nil:
				return err
			case !i.IsDir():
				return vfs.NotDirectory
			}
		}
		text, err := c.both("fs_readdir", p)
		if err == nil {
			out, err = parseList(text, f.began)
		}
		return err
	})
	return vfs.Page(out, after, limit), err
}

// ReadAt reads from the file at p.
func (f *FS) ReadAt(ctx context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, vfs.Invalid.With("negative offset")
	}
	err = f.with(ctx, func(c *call) error {
		info, err := f.stat(c, p)
		switch {
		case err != nil:
			return err
		case info.IsDir():
			return vfs.IsDirectory
		case len(b) == 0:
			return nil
		}
		n, err = f.readInto(c, p, info.Size, b, off)
		return err
	})
	return n, err
}

// readInto reads until b is full or the file ends. size is what fs_stat says; 0
// may also be that of a file that is made when it is read.
func (f *FS) readInto(c *call, p vfs.Path, size int64, b []byte, off int64) (n int, err error) {
	for n < len(b) {
		if size > 0 && off+int64(n) >= size {
			return n, io.EOF
		}
		piece, err := f.piece(c, p, size, off+int64(n), int64(len(b)-n))
		if err != nil {
			return n, err
		}
		n += copy(b[n:], piece)
		if len(piece) == 0 || size == 0 && n < len(b) {
			return n, io.EOF
		}
	}
	return n, nil
}

// piece calls fs_read once. Modules that ignore the offset and the length are
// common: what they answer is cut here.
func (f *FS) piece(c *call, p vfs.Path, size, off, length int64) ([]byte, error) {
	at, err := c.str(string(p))
	if err != nil {
		return nil, err
	}
	ptr, n, err := c.run("fs_read", at, uint64(off), uint64(length))
	switch {
	case err != nil:
		return nil, err
	case ptr == 0 && (size == 0 || off >= size):
		return nil, nil // an error and no bytes look alike; the file is empty
	case ptr == 0:
		return nil, vfs.Internal.With("read failed")
	}
	b, err := c.bytes(ptr, n)
	if err != nil {
		return nil, err
	}
	whole := int64(n) > length || off > 0 && int64(n) == size
	if whole && off > 0 {
		b = b[min(off, int64(len(b))):]
	}
	return b[:min(length, int64(len(b)))], nil
}
