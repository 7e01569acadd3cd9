package queuefs

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// ReadAt renders what can be read. To read what is there to be written to is
// Permission; dequeue and take are Unsupported, since taking is a change.
func (f FS) ReadAt(ctx context.Context, v vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	s := locate(p)
	id, ok := find(v, s.queue)
	switch {
	case !ok:
		return 0, vfs.NotFound
	case isEarly(v) && !s.isEarly():
		return 0, vfs.NotFound
	case off < 0:
		return 0, vfs.Invalid.With("negative offset")
	case s.isDir():
		return 0, vfs.IsDirectory
	case s.entry != "":
		r, ok := findEntry(v, id, s)
		if !ok {
			return 0, vfs.NotFound
		}
		return readRendered(b, off, func(w io.Writer) error { return f.writeEntry(ctx, r, w) })
	case s.file == readmeName:
		return strings.NewReader(readme).ReadAt(b, off)
	}
	t := getTally(v, id)
	switch s.file {
	case "size", "ctl", "stats.json":
		return strings.NewReader(t.text(v, id, s.file)).ReadAt(b, off)
	case "peek":
		return readRendered(b, off, func(w io.Writer) error { return f.writePeek(ctx, v, &t, w) })
	}
	return 0, unreadable(s.file)
}

// unreadable tells why a control cannot be read; nil if it can.
func unreadable(name string) error {
	switch name {
	case "size", "ctl", "stats.json", "peek":
		return nil
	case "dequeue", "take":
		return vfs.Unsupported.With("reading it takes a message")
	}
	return vfs.Permission.Withf("%s is write-only", name)
}

// readRendered reads a part of what write writes.
func readRendered(b []byte, off int64, write func(io.Writer) error) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	w := window{b: b, skip: off}
	switch err := write(&w); {
	case err == errFull:
		return w.n, nil
	case err != nil:
		return 0, err
	}
	return w.n, io.EOF
}

// window is a Writer that keeps the bytes from skip on that fit in b, and
// counts all of them.
type window struct {
	b    []byte
	skip int64
	n    int   // kept
	size int64 // seen
}

var errFull = errors.New("window is full")

// Write never keeps p. It fails with errFull once the window needs no more;
// with no room from the start it only counts.
func (w *window) Write(p []byte) (int, error) {
	at := w.size
	w.size += int64(len(p))
	if w.size > w.skip {
		w.n += copy(w.b[w.n:], p[max(0, w.skip-at):])
	}
	if len(w.b) > 0 && w.n == len(w.b) {
		return len(p), errFull
	}
	return len(p), nil
}
