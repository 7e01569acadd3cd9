package devfs

import (
	"context"
	"crypto/rand"
	_ "embed"
	"io"
	"slices"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

//go:embed README.md
var readme string

const (
	pluginType = "devfs"
	full       = vfs.Path("/full")
	null       = vfs.Path("/null")
	random     = vfs.Path("/random")
	zero       = vfs.Path("/zero")
)

// devices returns the files, in the order of a listing.
func devices() []vfs.Path { return []vfs.Path{full, null, random, zero} }

// FS is the filesystem. It never changes.
type FS struct{ since time.Time }

// Plugin returns the plugin. It takes every change, to refuse what is not for
// a device as one on a filesystem that is read-only.
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

// Stat describes the root or a device.
func (f FS) Stat(_ context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	info := vfs.Info{Name: p.Base(), ModTime: f.since, Meta: vfs.Meta{Name: pluginType}}
	switch p {
	case vfs.Root:
		info.Mode, info.Meta.Type = vfs.ModeDir|0o555, "directory"
		return info, nil
	case full, random, zero:
		info.Meta.Content = map[string]string{vfs.EndlessKey: "true"}
	case null:
	default:
		return vfs.Info{}, vfs.NotFound
	}
	info.Mode, info.Meta.Type = 0o666, "device"
	return info, nil
}

// List names the devices.
func (f FS) List(ctx context.Context, v vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	info, err := f.Stat(ctx, v, p)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, vfs.NotDirectory
	}
	out := []vfs.Info{}
	for _, d := range devices() {
		if d.Base() <= after || limit > 0 && len(out) == limit {
			continue
		}
		info, err := f.Stat(ctx, v, d)
		if err != nil {
			return nil, err
		}
		out = append(out, info)
	}
	return out, nil
}

// ReadAt finds null empty, and the others without end.
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
	case p == null:
		return 0, io.EOF
	case p == random:
		return rand.Read(b)
	}
	clear(b)
	return len(b), nil
}

// Do drops what is written to a device and refuses every other change. To set
// the length or the time of one succeeds and does nothing.
func (FS) Do(_ context.Context, op vfs.Op) (vfs.Result, error) {
	if slices.Contains(devices(), op.Path) {
		switch op.Verb {
		case vfs.Write:
			if op.Flag&vfs.FlagExclusive != 0 {
				return vfs.Result{}, vfs.Exists
			}
			if op.Path == full && op.Size() > 0 {
				return vfs.Result{}, vfs.NoSpace
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
