package streamfs

import (
	"context"
	_ "embed" // for the README
	"io"
	"strconv"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/content"
	"github.com/pfs-project/pfs/vfs/tree"
)

//go:embed README.md
var readme string

const (
	pluginType = "streamfs"

	readmePath = vfs.Path("/" + tree.Readme)

	verbs vfs.VerbSet = 1<<vfs.Create | 1<<vfs.Write | 1<<vfs.Truncate | 1<<vfs.Touch | 1<<vfs.Remove | 1<<vfs.RemoveAll
)

// FS is the filesystem. It keeps no state: all of it is in the View.
type FS struct {
	*tree.FS
	chunks vfs.Chunks
	ring   int64
	more   func(vfs.View, *vfs.Info) // adds to what Stat says of a stream; nil: nothing
}

var (
	_ vfs.Folder   = (*FS)(nil)
	_ vfs.Timer    = (*FS)(nil)
	_ vfs.Finder   = (*FS)(nil)
	_ vfs.Checker  = (*FS)(nil)
	_ vfs.Follower = (*FS)(nil)
)

// Plugin returns the plugin.
func Plugin() vfs.Plugin {
	p := vfs.Plugin{
		Type:   pluginType,
		Doc:    readme,
		Since:  6,
		Verbs:  verbs,
		Params: bothParams(),
		Later:  func(c vfs.Config) (uint64, error) { return later(c, params()) },
	}
	checked := func(c vfs.Config) (settings, error) {
		if err := c.Check(p.Params); err != nil {
			return settings{}, err
		}
		return read(c)
	}
	p.Place = func(c vfs.Config) (vfs.Placement, error) {
		s, err := checked(c)
		if s.memory {
			return vfs.Pinned, err
		}
		return vfs.Replicated, err
	}
	p.New = func(env vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
		s, err := checked(c)
		if err != nil {
			return nil, err
		}
		if s.memory {
			return newMemory(s), nil
		}
		names, err := tree.New(tree.Options{Type: p.Type, Verbs: p.Verbs, Readme: true, Parents: true, Freed: freed})
		if err != nil {
			return nil, err
		}
		return &FS{names, env.Chunks, s.ring, nil}, nil
	}
	return p
}

// Stat describes p. The size of a stream is how many bytes were ever written.
func (f *FS) Stat(ctx context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	i, err := f.FS.Stat(ctx, v, p)
	if err != nil {
		return i, err
	}
	return f.describe(v, i, p == readmePath), nil
}

// List returns the entries of a directory, as Stat describes them.
func (f *FS) List(ctx context.Context, v vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	all, err := f.FS.List(ctx, v, p, after, limit)
	for n := range all {
		all[n] = f.describe(v, all[n], p.Child(all[n].Name) == readmePath)
	}
	return all, err
}

func (f *FS) describe(v vfs.View, i vfs.Info, doc bool) vfs.Info {
	if doc {
		i.Meta.Type = "doc"
		return i
	}
	s, ok := find(v, i.ID)
	if !ok {
		return i
	}
	i.Size, i.Meta.Type = s.end, "stream"
	i.Meta.Content = map[string]string{
		"total_written": strconv.FormatInt(s.end, 10), "oldest": strconv.FormatInt(s.oldest, 10), "durability": "log",
	}
	if f.more != nil {
		f.more(v, &i)
	}
	return i
}

// ReadAt reads the bytes of a stream by their offsets; Range if those are
// forgotten.
func (f *FS) ReadAt(ctx context.Context, v vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	i, err := f.FS.Stat(ctx, v, p)
	if err != nil {
		return 0, err
	}
	s, ok := find(v, i.ID)
	switch {
	case !ok && p == readmePath:
		return f.FS.ReadAt(ctx, v, p, b, off)
	case !ok:
		return 0, vfs.IsDirectory
	case off < 0:
		return 0, vfs.Invalid.With("negative offset")
	}
	return f.read(ctx, v, i.ID, s, b, off)
}

func (f *FS) read(ctx context.Context, v vfs.View, file uint64, s stream, b []byte, off int64) (int, error) {
	if off < s.oldest {
		return 0, vfs.Range.Withf("offset %d is forgotten, the oldest is %d", off, s.oldest)
	}
	return content.ReadAt(ctx, v, f.chunks, key(rowBytes, file), s.end, b, off)
}

// Follow describes the stream at p.
func (f *FS) Follow(v vfs.View, p vfs.Path) (vfs.Live, error) {
	i, err := f.FS.Stat(context.Background(), v, p)
	if vfs.KindOf(err) == vfs.NotFound {
		return vfs.Live{Row: []byte{rowMade}}, err
	}
	if err != nil {
		return vfs.Live{}, err
	}
	s, ok := find(v, i.ID)
	switch {
	case i.IsDir():
		return vfs.Live{}, vfs.IsDirectory
	case !ok:
		return vfs.Live{}, vfs.Unsupported.With("not a stream")
	}
	return vfs.Live{File: i.ID, Oldest: s.oldest, End: s.end, Row: key(rowStream, i.ID)}, nil
}

// ReadStream reads on from an offset of a stream.
func (f *FS) ReadStream(ctx context.Context, v vfs.View, file uint64, b []byte, off int64) (int, error) {
	s, ok := find(v, file)
	if !ok {
		return 0, vfs.NotFound
	}
	n, err := f.read(ctx, v, file, s, b, off)
	if err == io.EOF {
		err = nil
	}
	return n, err
}
