package devfs

import (
	"context"
	_ "embed"
	"io"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

//go:embed README.md
var readme string

const (
	pluginType = "devfs"
	null       = vfs.Path("/null")
)

// FS is the filesystem. It never changes.
type FS struct{ since time.Time }

// Plugin returns the plugin. It takes every change, to refuse what is not for
// null as one on a filesystem that is read-only.
func Plugin() vfs.Plugin {
	return vfs.Plugin{
		Type: pluginType,
		Doc:  readme,
		Verbs: vfs.Verbs(vfs.Create, vfs.Mkdir, vfs.Write, vfs.Truncate, vfs.Chmod, vfs.Touch,
			vfs.Remove, vfs.RemoveAll, vfs.Rename, vfs.Symlink),
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.PerNode, nil },
		New: func(vfs.Env, vfs.Config) (vfs.FileSystem, error) {
			return FS{time.Now().UTC()}, nil
		},
	}
}

// Stat describes the root or a device.
func (f FS) Stat(_ context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	info := vfs.Info{Name: p.Base(), ModTime: f.since, Meta: vfs.Meta{Name: pluginType}}
	switch p {
	case vfs.Root:
		info.Mode, info.Meta.Type = vfs.ModeDir|0o555, "directory"
	case null:
		info.Mode, info.Meta.Type = 0o666, "device"
	default:
		return vfs.Info{}, vfs.NotFound
	}
	return info, nil
}

// List names the devices.
func (f FS) List(ctx context.Context, v vfs.View, p vfs.Path, after string, _ int) ([]vfs.Info, error) {
	info, err := f.Stat(ctx, v, p)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, vfs.NotDirectory
	case after >= null.Base():
		return []vfs.Info{}, nil
	}
	info, err = f.Stat(ctx, v, null)
	return []vfs.Info{info}, err
}

// ReadAt finds null empty.
func (f FS) ReadAt(ctx context.Context, v vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	info, err := f.Stat(ctx, v, p)
	switch {
	case err != nil:
		return 0, err
	case info.IsDir():
		return 0, vfs.IsDirectory
	case off < 0:
		return 0, vfs.Invalid.With("negative offset")
	case len(b) == 0:
		return 0, nil
	}
	return 0, io.EOF
}

// Do drops what is written to null and refuses every other change. To set the
// length or the time of null succeeds and does nothing.
func (FS) Do(_ context.Context, op vfs.Op) (vfs.Result, error) {
	if op.Path == null {
		switch op.Verb {
		case vfs.Write:
			if op.Flag&vfs.FlagExclusive != 0 {
				return vfs.Result{}, vfs.Exists
			}
			return vfs.Result{N: op.Size()}, nil
		case vfs.Truncate, vfs.Touch:
			return vfs.Result{}, nil
		case vfs.Create:
			return vfs.Result{}, vfs.Exists
		}
	}
	return vfs.Result{}, vfs.Permission.With("read-only filesystem")
}
