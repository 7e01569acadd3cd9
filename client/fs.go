package client

import (
	"context"
	"io"
	"io/fs"
	"path"
	"time"
)

// FS returns the tree below root as an fs.FS for reading. Every call is bound
// to ctx. It implements fs.StatFS, fs.ReadDirFS and fs.ReadFileFS.
func (c *Client) FS(ctx context.Context, root string) fs.FS { return &tree{c, ctx, root} }

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
	return path.Join("/", t.root, name), nil
}

// renamed gives an error the name that the caller used.
func renamed(err error, op, name string) error {
	if pe, ok := err.(*fs.PathError); ok {
		return &fs.PathError{Op: op, Path: name, Err: pe.Err}
	}
	return err
}

// Stat implements fs.StatFS. Links are followed.
func (t *tree) Stat(name string) (fs.FileInfo, error) {
	p, err := t.full("stat", name)
	if err != nil {
		return nil, err
	}
	i, err := t.c.Stat(t.ctx, p)
	if err != nil {
		return nil, renamed(err, "stat", name)
	}
	return fileInfo{i, path.Base(name)}, nil
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
	for i := range infos {
		out[i] = fs.FileInfoToDirEntry(fileInfo{infos[i], infos[i].Name})
	}
	return out, nil
}

// ReadFile implements fs.ReadFileFS.
func (t *tree) ReadFile(name string) ([]byte, error) {
	p, err := t.full("read", name)
	if err != nil {
		return nil, err
	}
	b, err := t.c.ReadFile(t.ctx, p)
	return b, renamed(err, "read", name)
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
func (f fileInfo) IsDir() bool        { return f.i.IsDir }
func (f fileInfo) Sys() any           { return f.i }
func (f fileInfo) Mode() fs.FileMode {
	m := fs.FileMode(f.i.Mode) & fs.ModePerm
	switch {
	case f.i.IsDir:
		m |= fs.ModeDir
	case f.i.IsLink():
		m |= fs.ModeSymlink
	}
	return m
}

type file struct {
	t    *tree
	name string
	info fs.FileInfo
	body io.ReadCloser
	off  int64
	done bool
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }

func (f *file) Read(b []byte) (int, error) {
	if f.done {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrClosed}
	}
	if f.body == nil {
		p, err := f.t.full("read", f.name)
		if err != nil {
			return 0, err
		}
		if f.body, err = f.t.c.OpenRange(f.t.ctx, p, Range{f.off, -1}); err != nil {
			return 0, renamed(err, "read", f.name)
		}
	}
	n, err := f.body.Read(b)
	f.off += int64(n)
	return n, err
}

// Seek implements io.Seeker; the next Read asks for the rest from there.
func (f *file) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += f.off
	case io.SeekEnd:
		off += f.info.Size()
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "seek", Path: f.name, Err: fs.ErrInvalid}
	}
	if f.body != nil && off != f.off {
		f.body.Close()
		f.body = nil
	}
	f.off = off
	return off, nil
}

func (f *file) Close() error {
	if f.done {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.done = true
	if f.body != nil {
		return f.body.Close()
	}
	return nil
}

type dir struct {
	t    *tree
	name string
	info fs.FileInfo
	list []fs.DirEntry
	read bool
}

func (d *dir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *dir) Close() error               { return nil }
func (d *dir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: fs.ErrInvalid}
}

// ReadDir implements fs.ReadDirFile.
func (d *dir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		list, err := d.t.ReadDir(d.name)
		if err != nil {
			return nil, err
		}
		d.list, d.read = list, true
	}
	if n <= 0 || n > len(d.list) {
		if n > 0 && len(d.list) == 0 {
			return nil, io.EOF
		}
		n = len(d.list)
	}
	out := d.list[:n:n]
	d.list = d.list[n:]
	return out, nil
}

// Interface guards.
var (
	_ fs.StatFS      = (*tree)(nil)
	_ fs.ReadDirFS   = (*tree)(nil)
	_ fs.ReadFileFS  = (*tree)(nil)
	_ fs.ReadDirFile = (*dir)(nil)
	_ io.Seeker      = (*file)(nil)
)
