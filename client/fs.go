package client

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// FS returns the tree below root as an fs.FS for reading. Every call is bound
// to ctx. It implements fs.StatFS, ReadDirFS, ReadFileFS, ReadLinkFS, GlobFS
// and SubFS; its files io.Seeker and io.ReaderAt.
//
// Files that are consumed when they are read have fs.ModeIrregular, and reading
// them fails: whoever walks a tree does not mean to take from it.
func (c *Client) FS(ctx context.Context, root string) fs.FS {
	return &tree{c, ctx, path.Join("/", root)}
}

// tree carries its context because the methods of io/fs have none.
type tree struct {
	c    *Client
	ctx  context.Context
	root string
}

func (t *tree) full(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return path.Join(t.root, name), nil
}

// renamed gives an error the name that the caller used; nil stays nil.
func renamed(err error, op, name string) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return &fs.PathError{Op: op, Path: name, Err: pe.Err}
	}
	return err
}

// Lstat implements fs.ReadLinkFS.
func (t *tree) Lstat(name string) (fs.FileInfo, error) {
	p, err := t.full("lstat", name)
	if err != nil {
		return nil, err
	}
	i, err := t.c.Stat(t.ctx, p)
	if err != nil {
		return nil, renamed(err, "lstat", name)
	}
	return fileInfo{i, path.Base(name)}, nil
}

// maxLinks is how many links one name may lead through.
const maxLinks = 10

// Stat implements fs.StatFS. Links are followed, also out of the tree.
func (t *tree) Stat(name string) (fs.FileInfo, error) {
	p, err := t.full("stat", name)
	if err != nil {
		return nil, err
	}
	for range maxLinks {
		i, err := t.c.Stat(t.ctx, p)
		if err != nil {
			return nil, renamed(err, "stat", name)
		}
		if !i.IsLink() {
			return fileInfo{i, path.Base(name)}, nil
		}
		target, err := t.c.Readlink(t.ctx, p)
		if err != nil {
			return nil, renamed(err, "stat", name)
		}
		if !strings.HasPrefix(target, "/") {
			target = path.Join(path.Dir(p), target)
		}
		p = path.Clean(target)
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: vfs.Invalid.With("too many levels of symbolic links")}
}

// ReadLink implements fs.ReadLinkFS.
func (t *tree) ReadLink(name string) (string, error) {
	p, err := t.full("readlink", name)
	if err != nil {
		return "", err
	}
	target, err := t.c.Readlink(t.ctx, p)
	return target, renamed(err, "readlink", name)
}

// ReadDir implements fs.ReadDirFS.
func (t *tree) ReadDir(name string) ([]fs.DirEntry, error) {
	p, err := t.full("readdir", name)
	if err != nil {
		return nil, err
	}
	infos, err := t.c.List(t.ctx, p)
	if err != nil {
		return nil, renamed(err, "readdir", name)
	}
	out := make([]fs.DirEntry, len(infos))
	for n, i := range infos {
		out[n] = fs.FileInfoToDirEntry(fileInfo{i, i.Name})
	}
	return out, nil
}

// ReadFile implements fs.ReadFileFS.
func (t *tree) ReadFile(name string) ([]byte, error) {
	p, err := t.full("read", name)
	if err != nil {
		return nil, err
	}
	b, err := t.c.readFile(t.ctx, readCall(p, &Range{0, -1}))
	return b, renamed(err, "read", name)
}

// Sub implements fs.SubFS.
func (t *tree) Sub(name string) (fs.FS, error) {
	p, err := t.full("sub", name)
	return &tree{t.c, t.ctx, p}, err
}

// Open implements fs.FS. A file's content is asked for at the first Read.
func (t *tree) Open(name string) (fs.File, error) {
	i, err := t.Stat(name)
	if err != nil {
		return nil, renamed(err, "open", name)
	}
	if i.IsDir() {
		return &dir{t: t, name: name, info: i}, nil
	}
	return &file{t: t, name: name, info: i}, nil
}

type fileInfo struct {
	i    Info
	name string
}

func (f fileInfo) Name() string       { return f.name }
func (f fileInfo) Size() int64        { return f.i.Size }
func (f fileInfo) ModTime() time.Time { return f.i.ModTime }
func (f fileInfo) IsDir() bool        { return f.Mode().IsDir() }
func (f fileInfo) Sys() any           { return f.i }
func (f fileInfo) Mode() fs.FileMode {
	m := fs.FileMode(f.i.Mode) & fs.ModePerm
	switch {
	case f.i.IsLink():
		m |= fs.ModeSymlink
	case f.i.IsDir:
		m |= fs.ModeDir
	case f.i.Consumes(), f.i.Endless():
		m |= fs.ModeIrregular
	}
	return m
}

// Interface guards.
var (
	_ fs.StatFS      = (*tree)(nil)
	_ fs.ReadDirFS   = (*tree)(nil)
	_ fs.ReadFileFS  = (*tree)(nil)
	_ fs.ReadLinkFS  = (*tree)(nil)
	_ fs.GlobFS      = (*tree)(nil)
	_ fs.SubFS       = (*tree)(nil)
	_ fs.ReadDirFile = (*dir)(nil)
	_ io.Seeker      = (*file)(nil)
	_ io.ReaderAt    = (*file)(nil)
)
