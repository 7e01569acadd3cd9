package client

import (
	"io"
	"io/fs"

	"github.com/pfs-project/pfs/vfs"
)

// file is an open file of a tree. It belongs to one goroutine, but for ReadAt.
type file struct {
	t    *tree
	name string
	info fs.FileInfo
	body io.ReadCloser // from off on; nil until it is read
	off  int64
	done bool
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }

// part opens a part of the file.
func (f *file) part(r Range) (io.ReadCloser, error) {
	p, err := f.t.full("read", f.name)
	if err != nil {
		return nil, err
	}
	return f.t.c.OpenRange(f.t.ctx, p, r)
}

func (f *file) Read(b []byte) (int, error) {
	if f.done {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrClosed}
	}
	if f.body == nil {
		body, err := f.part(Range{f.off, -1})
		if err != nil {
			return 0, renamed(err, "read", f.name)
		}
		f.body = body
	}
	n, err := f.body.Read(b)
	f.off += int64(n)
	return n, renamed(err, "read", f.name)
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(b []byte, off int64) (int, error) {
	switch {
	case f.done:
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrClosed}
	case off < 0:
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrInvalid}
	case len(b) == 0:
		return 0, nil
	}
	body, err := f.part(Range{off, int64(len(b))})
	if err != nil {
		return 0, renamed(err, "read", f.name)
	}
	defer body.Close()
	n, err := io.ReadFull(body, b)
	if err == io.ErrUnexpectedEOF { // bare: the file ends here; the body was whole
		err = io.EOF
	}
	return n, renamed(err, "read", f.name)
}

// Seek implements io.Seeker; the next Read asks for the rest from there.
func (f *file) Seek(off int64, whence int) (int64, error) {
	from := map[int]int64{io.SeekStart: 0, io.SeekCurrent: f.off, io.SeekEnd: f.info.Size()}
	at, ok := from[whence]
	switch off += at; {
	case f.done:
		return 0, &fs.PathError{Op: "seek", Path: f.name, Err: fs.ErrClosed}
	case !ok || off < 0:
		return 0, &fs.PathError{Op: "seek", Path: f.name, Err: fs.ErrInvalid}
	}
	if f.body != nil && off != f.off {
		_ = f.body.Close() // of a transfer that nobody wants any more
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

// dir is an open directory of a tree.
type dir struct {
	t    *tree
	name string
	info fs.FileInfo
	list []fs.DirEntry // not yet returned
	read bool
}

func (d *dir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *dir) Close() error               { return nil }
func (d *dir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: vfs.IsDirectory}
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
	if n > 0 && len(d.list) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(d.list) {
		n = len(d.list)
	}
	out := d.list[:n:n]
	d.list = d.list[n:]
	return out, nil
}
