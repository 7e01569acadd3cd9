package vfs

import (
	"context"
	"errors"
	"io"
)

// Opener is a FileSystem that finds a file and what reads it in one step. Open
// is Stat, and gives what ReadAt would read: nil where that is to be asked. What
// it gives is good for as long as the View is.
//
// Opens reports whether Open speaks for f: a filesystem that embeds another one
// and answers differently inherits its Open, which then is not used.
type Opener interface {
	Open(ctx context.Context, v View, p Path) (Info, Opened, error)
	Opens(f FileSystem) bool
}

// Opened is the content of one file, read as io.ReaderAt does.
type Opened interface {
	ReadAt(ctx context.Context, b []byte, off int64) (int, error)
}

// OpenerOf returns the Opener that speaks for f; nil if there is none.
func OpenerOf(f FileSystem) Opener {
	if o, ok := f.(Opener); ok && o.Opens(f) {
		return o
	}
	return nil
}

// File is a file of a Table to read. It is good for as long as its View is.
type File struct {
	Path Path // global, without links

	t    *Table
	v    View
	at   place
	from Opened // nil: the Table is asked
}

// File returns the file at p, which nobody has looked at yet.
func (t *Table) File(v View, p Path) File { return File{Path: p, t: t, v: v, at: t.place(p)} }

// Open is [Table.Lookup], and gives the file to read, so that the way to it is
// gone once.
func (t *Table) Open(ctx context.Context, v View, verb string, p Path) (Info, File, error) {
	f := File{t: t, v: v}
	info, at, err := t.lookup(v, verb, p, func(at place) (info Info, err error) {
		info, f.from, err = t.openAt(ctx, v, at)
		return info, err
	})
	if err != nil {
		return Info{}, File{}, err
	}
	f.Path, f.at = at.path, at
	return info, f, nil
}

// openAt is statAt that may give the content as well.
func (t *Table) openAt(ctx context.Context, v View, at place) (Info, Opened, error) {
	if at.e == nil || at.e.opener == nil || at.e.keeps {
		info, err := t.statAt(ctx, v, at)
		return info, nil, err
	}
	if _, virtual := t.virtual(at.path); virtual {
		info, err := t.statAt(ctx, v, at)
		return info, nil, err
	}
	info, from, err := at.e.opener.Open(ctx, at.e.view(v), at.rel)
	if err != nil {
		return Info{}, nil, err
	}
	return at.dress(info), from, nil
}

// Mount returns the mount that the file is in, and its path there. ok is false
// outside all mounts.
func (f *File) Mount() (m Mounted, rel Path, ok bool) {
	if f.at.e == nil {
		return Mounted{}, "", false
	}
	return f.at.e.Mounted, f.at.rel, true
}

// ReadAt is [Table.ReadAt] of the file.
func (f *File) ReadAt(ctx context.Context, b []byte, off int64) (n int, err error) {
	if f.from == nil {
		return f.t.ReadAt(ctx, f.v, f.Path, b, off)
	}
	switch n, err = f.from.ReadAt(ctx, b, off); {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		return n, io.EOF
	}
	return n, At(err, "read", f.Path)
}
