package ffi

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"time"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// FS is one mount of a library.
type FS struct {
	host   *Host
	lib    vfs.Library
	env    vfs.Env
	config vfs.Config
	code   func(context.Context) ([]byte, error)
	began  time.Time // what files have for a time that have none
	at     reach     // nil: it is not started
}

// reach is how a mount reaches its instance: in a process, or in this one.
// What it answers is not checked.
type reach interface {
	start(ctx context.Context) error
	stat(ctx context.Context, p vfs.Path) (vfs.Info, error)
	list(ctx context.Context, p vfs.Path, after string, limit int) ([]vfs.Info, error)
	// readAt fills b, or a part of it, and reports whether the file ends there.
	readAt(ctx context.Context, p vfs.Path, b []byte, off int64) (n int, end bool, err error)
	do(ctx context.Context, op vfs.Op) (vfs.Result, error)
	close()
}

var (
	_ vfs.Device  = (*FS)(nil)
	_ vfs.Putter  = (*FS)(nil)
	_ vfs.Starter = (*FS)(nil)
	_ vfs.Stater  = (*FS)(nil)
	_ io.Closer   = (*FS)(nil)
)

// Start loads the library: a mount whose settings it refuses does not start.
func (f *FS) Start(ctx context.Context) (err error) {
	if f.lib.Limits, err = bounds().Fill(f.lib.Limits); err != nil {
		return err
	}
	f.began = time.Now().UTC().Truncate(time.Second)
	f.at = f.host.reach(f)
	return f.at.start(ctx)
}

// settings is what the instance is initialised with.
func (f *FS) settings() (string, error) {
	settings := maps.Clone(map[string]any(f.config))
	if settings == nil {
		settings = map[string]any{}
	}
	settings["mount_path"] = string(f.env.Mount)
	text, err := json.Marshal(settings)
	if err != nil {
		return "", vfs.Invalid.With(err.Error())
	}
	return string(text), nil
}

// Close ends the mount. No call is under way.
func (f *FS) Close() error {
	if f.at != nil {
		f.at.close()
	}
	return nil
}

// MountState says how the process fares, if there is one.
func (f *FS) MountState() vfs.MountState {
	if s, ok := f.at.(vfs.Stater); ok {
		return s.MountState()
	}
	return vfs.MountState{Status: vfs.MountUp}
}

var errStarted = vfs.Unavailable.With("the plugin is not started")

// Stat describes the file at p.
func (f *FS) Stat(ctx context.Context, _ vfs.View, p vfs.Path) (i vfs.Info, err error) {
	defer supervise.KeepBack(ctx, &err)
	if f.at == nil {
		return vfs.Info{}, errStarted
	}
	i, err = f.at.stat(ctx, p)
	if err != nil {
		return vfs.Info{}, err
	}
	i, err = vfs.Told(i, p.Base(), f.began)
	if err == nil && p.IsRoot() && !i.IsDir() {
		err = vfs.Crashed.With("the plugin is wrong: its root is no directory")
	}
	return i, err
}

// List names what is in the directory at p.
func (f *FS) List(ctx context.Context, _ vfs.View, p vfs.Path, after string, limit int) (infos []vfs.Info, err error) {
	defer supervise.KeepBack(ctx, &err)
	if f.at == nil {
		return nil, errStarted
	}
	infos, err = f.at.list(ctx, p, after, limit)
	if err != nil {
		return nil, err
	}
	return f.checkedList(infos, after, limit)
}

// ReadAt reads from the file at p.
func (f *FS) ReadAt(ctx context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (n int, err error) {
	defer supervise.KeepBack(ctx, &err)
	if f.at == nil {
		return 0, errStarted
	}
	if off < 0 {
		return 0, vfs.Invalid.With("negative offset")
	}
	for {
		k, end, err := f.at.readAt(ctx, p, b[n:], off+int64(n))
		switch {
		case err != nil:
			return n, err
		case k == 0 && !end && n < len(b):
			return n, errAnswer
		}
		n += k
		if end && n < len(b) {
			return n, io.EOF
		}
		if n == len(b) {
			return n, nil
		}
	}
}

// Do makes one change.
func (f *FS) Do(ctx context.Context, op vfs.Op) (r vfs.Result, err error) {
	defer supervise.KeepBack(ctx, &err)
	switch {
	case f.at == nil:
		return vfs.Result{}, errStarted
	case !f.lib.Verbs.Has(op.Verb) || len(op.Refs) > 0:
		return vfs.Result{}, vfs.Unsupported
	case len(op.Data) > maxPut:
		return vfs.Result{}, errPut
	}
	r, err = f.at.do(ctx, op)
	if err != nil {
		return vfs.Result{}, err
	}
	if r.N < 0 || r.N > int64(len(op.Data)) {
		return vfs.Result{}, errAnswer
	}
	return vfs.Result{N: r.N}, nil
}

// Put writes a whole file with one call, as the ABI means it. What is longer than
// a library can be expected to take is TooLarge.
func (f *FS) Put(ctx context.Context, op vfs.Op, r io.Reader) (vfs.Result, error) {
	if !f.lib.Verbs.Has(vfs.Write) {
		return vfs.Result{}, vfs.Unsupported
	}
	b, err := vfs.Whole(r, min(maxPut, f.lib.Limits.Memory/4))
	if err != nil {
		return vfs.Result{}, err
	}
	op.Data, op.Off = b, 0
	op.Flag |= replace
	return f.Do(ctx, op)
}
