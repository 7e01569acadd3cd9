package hellofs

import (
	"context"
	_ "embed"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

//go:embed README.md
var readme string

const (
	pluginType = "hellofs"
	file       = vfs.Path("/hello")
	text       = "Hello, World!\n"
)

// FS is the filesystem. It never changes.
type FS struct{ since time.Time }

// Plugin returns the plugin. It takes every change, to refuse it as one on a
// filesystem that is read-only.
func Plugin() vfs.Plugin {
	return vfs.Plugin{
		Type:  pluginType,
		Doc:   readme,
		Verbs: vfs.Changes(),
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.PerNode, nil },
		New: func(vfs.Env, vfs.Config) (vfs.FileSystem, error) {
			return FS{time.Now().UTC()}, nil
		},
	}
}

// Stat describes the root or the file.
func (f FS) Stat(_ context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	info := vfs.Info{Name: p.Base(), ModTime: f.since, Meta: vfs.Meta{Name: pluginType}}
	switch p {
	case vfs.Root:
		info.Mode, info.Meta.Type = vfs.ModeDir|0o555, "directory"
	case file:
		info.Mode, info.Meta.Type, info.Size = 0o444, "file", int64(len(text))
	default:
		return vfs.Info{}, vfs.NotFound
	}
	return info, nil
}

// List names the file.
func (f FS) List(ctx context.Context, v vfs.View, p vfs.Path, after string, _ int) ([]vfs.Info, error) {
	info, err := f.Stat(ctx, v, p)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, vfs.NotDirectory
	case after >= file.Base():
		return []vfs.Info{}, nil
	}
	info, err = f.Stat(ctx, v, file)
	return []vfs.Info{info}, err
}

// ReadAt reads the file.
func (f FS) ReadAt(ctx context.Context, v vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	info, err := f.Stat(ctx, v, p)
	switch {
	case err != nil:
		return 0, err
	case info.IsDir():
		return 0, vfs.IsDirectory
	case off < 0:
		return 0, vfs.Invalid.With("negative offset")
	}
	return strings.NewReader(text).ReadAt(b, off)
}

// Do refuses every change.
func (FS) Do(context.Context, vfs.Op) (vfs.Result, error) {
	return vfs.Result{}, vfs.Permission.With("read-only filesystem")
}
