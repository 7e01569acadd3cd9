package localfs

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

//go:embed README.md
var readme string

const (
	pluginType = "localfs"
	readmeName = "README"
	// tempPrefix begins the names of files that are being written. They are not
	// shown, and cannot be asked for.
	tempPrefix = ".pfs-part-"
	// leftAfter is how long such a file does not grow until it is one that a
	// node has left behind that was killed.
	leftAfter = time.Hour
)

// FS is the filesystem of one directory.
type FS struct {
	dir  string
	node string
	data string   // the node's own directory, which is never served
	root *os.Root // nil until Start

	started time.Time

	// Conditions are checked and writes made under the lock of the path, so
	// that of two that ask for one version one loses.
	locks [64]sync.Mutex
}

var (
	_ vfs.Device   = (*FS)(nil)
	_ vfs.Putter   = (*FS)(nil)
	_ vfs.Streamer = (*FS)(nil)
	_ vfs.Tuner    = (*FS)(nil)
	_ vfs.Starter  = (*FS)(nil)
	_ io.Closer    = (*FS)(nil)
)

// Plugin returns the plugin.
func Plugin() vfs.Plugin {
	return vfs.Plugin{
		Type:  pluginType,
		Doc:   readme,
		Since: 4,
		Verbs: vfs.Changes(),
		Params: []vfs.Param{{Name: "local_dir", Type: "string", Required: true,
			Description: "the directory to serve, on the node that the mount lives on"}},
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.Pinned, nil },
		New: func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
			dir, err := c.String("local_dir", "")
			switch {
			case err != nil:
				return nil, err
			case dir == "":
				return nil, vfs.Invalid.With("local_dir is required")
			case strings.ContainsRune(dir, 0):
				return nil, vfs.Invalid.With("local_dir is no path")
			}
			return &FS{dir: dir, node: e.Node, data: e.DataDir}, nil
		},
	}
}

func (f *FS) info(p vfs.Path, st fs.FileInfo) vfs.Info {
	i := vfs.Info{Name: p.Base(), Mode: vfs.Mode(st.Mode().Perm()), ModTime: st.ModTime().UTC(),
		Version: version(st), Meta: vfs.Meta{Name: pluginType, Type: "local"}}
	switch {
	case st.IsDir():
		i.Mode |= vfs.ModeDir
	case st.Mode()&fs.ModeSymlink != 0:
		target, err := f.root.Readlink(name(p))
		if err != nil || !stays(p, target) { // nobody is to follow it
			i.Mode, i.Meta.Type = 0, "special"
			break
		}
		i.Mode, i.Target = vfs.ModeLink|0o777, filepath.ToSlash(target)
	case st.Mode().IsRegular():
		i.Size = st.Size()
	default:
		i.Meta.Type = "special"
	}
	return i
}

// version tells one content of a file from another, as far as the disk does:
// by its inode, its size and its times.
func version(st fs.FileInfo) uint64 {
	h := fnv.New64a()
	var b [8]byte
	for _, n := range append(identity(st), uint64(st.Size()), uint64(st.ModTime().UnixNano()), uint64(st.Mode())) {
		binary.BigEndian.PutUint64(b[:], n)
		_, _ = h.Write(b[:]) // never fails
	}
	return max(h.Sum64(), 1)
}

// Stat describes what is at p, a link itself.
func (f *FS) Stat(_ context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	st, err := f.look(p)
	if doc(p, err) {
		return vfs.Info{Name: readmeName, Size: int64(len(readme)), Mode: 0o444, Version: 1, ModTime: f.started,
			Meta: vfs.Meta{Name: pluginType, Type: "doc"}}, nil
	}
	if err != nil {
		return vfs.Info{}, err
	}
	return f.info(p, st), nil
}

// doc reports whether p is the page about this plugin: its root has one, unless
// the directory has a file of that name. It is in no listing, which is that of
// the disk.
func doc(p vfs.Path, err error) bool {
	return p == vfs.Root.Child(readmeName) && vfs.KindOf(err) == vfs.NotFound
}

// List names what is in the directory at p.
func (f *FS) List(_ context.Context, _ vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	st, err := f.file(p)
	switch {
	case err != nil:
		return nil, err
	case !st.IsDir():
		return nil, vfs.NotDirectory
	}
	names, err := f.names(p)
	if err != nil {
		return nil, err
	}
	names = names[sort.Search(len(names), func(i int) bool { return names[i] > after }):]
	infos := []vfs.Info{}
	for _, n := range names {
		if limit > 0 && len(infos) == limit {
			break
		}
		st, err := f.root.Lstat(name(p.Child(n)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // gone meanwhile
		case err != nil:
			return nil, kindOf(err)
		}
		infos = append(infos, f.info(p.Child(n), st))
	}
	return infos, nil
}

// names returns the names in a directory, sorted. Those that are no names of
// the tree, and files that are being written, are left out.
func (f *FS) names(p vfs.Path) ([]string, error) {
	d, err := f.root.Open(name(p))
	if err != nil {
		return nil, kindOf(err)
	}
	all, err := d.Readdirnames(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return nil, kindOf(err)
	}
	names := all[:0]
	for _, n := range all {
		switch q, err := vfs.ParsePath("/" + n); {
		case strings.HasPrefix(n, tempPrefix):
			f.sweep(p.Child(n))
		case err == nil && q.Base() == n:
			names = append(names, n)
		}
	}
	sort.Strings(names)
	return names, nil
}

// sweep removes a file that was being written and was left behind.
func (f *FS) sweep(p vfs.Path) {
	if st, err := f.root.Lstat(name(p)); err == nil && time.Since(st.ModTime()) > leftAfter {
		_ = f.root.Remove(name(p)) // it is tried again at the next listing
	}
}

// ReadAt reads from the file at p.
func (f *FS) ReadAt(_ context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, vfs.Invalid.With("negative offset")
	}
	h, err := f.open(p, os.O_RDONLY)
	if doc(p, err) {
		return strings.NewReader(readme).ReadAt(b, off)
	}
	if err != nil {
		return 0, err
	}
	defer h.Close()
	n, err := h.ReadAt(b, off)
	if err == io.EOF {
		return n, err
	}
	return n, kindOf(err)
}

// Stream reads on from an offset.
func (f *FS) Stream(_ context.Context, p vfs.Path, want uint64, off int64) (io.ReadCloser, error) {
	h, err := f.open(p, os.O_RDONLY)
	if doc(p, err) {
		return nil, vfs.Unsupported // it is short
	}
	if err != nil {
		return nil, err
	}
	st, err := h.Stat()
	if now := uint64(0); err == nil && want != 0 {
		if now = version(st); now != want {
			err = &vfs.Error{Kind: vfs.Stale, Version: now}
		}
	}
	if err == nil {
		_, err = h.Seek(off, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(kindOf(err), h.Close())
	}
	return h, nil
}

// Tune reads a file from a place on to its end.
func (f *FS) Tune(ctx context.Context, p vfs.Path, from string) (io.ReadCloser, int64, error) {
	return vfs.TuneFile(ctx, f, p, from)
}
