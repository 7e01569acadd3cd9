package ffi

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/pfs-project/pfs/vfs"
)

// files is a Guest with the manners of a filesystem: it looks at what is there
// before it asks for what the plugin may not check. It runs beside the plugin, so
// that a look costs no crossing.
type files struct {
	guest Guest
	verbs vfs.VerbSet
	write sync.Mutex // holds what is there still between the look and the change
}

// errSize is a file of which nothing can be counted.
var errSize = vfs.Crashed.With("the plugin is wrong: it says of a file that its size is out of range")

// stat describes the file at p. Not all plugins think of their root.
func (f *files) stat(p vfs.Path) (vfs.Info, error) {
	i, err := f.guest.Stat(p)
	if p.IsRoot() && vfs.KindOf(err) == vfs.NotFound {
		return vfs.Info{Mode: vfs.ModeDir | 0o755}, nil
	}
	if err == nil && (i.Size < 0 || i.Size > vfs.MaxSize) {
		return vfs.Info{}, errSize
	}
	return i, err
}

// list returns entries behind after, at most limit.
func (f *files) list(p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	i, err := f.stat(p)
	if err != nil {
		return nil, err
	}
	if !i.IsDir() {
		return nil, vfs.NotDirectory
	}
	out, err := f.guest.List(p)
	if err != nil {
		return nil, f.since(i, p, err)
	}
	slices.SortFunc(out, func(a, b vfs.Info) int { return strings.Compare(a.Name, b.Name) })
	if after == "" { // a file without a name is not skipped: it is refused
		return out[:limited(len(out), limit)], nil
	}
	at, found := slices.BinarySearchFunc(out, after, func(i vfs.Info, after string) int { return strings.Compare(i.Name, after) })
	if found {
		at++
	}
	out = out[at:]
	return out[:limited(len(out), limit)], nil
}

// limited is how many of n there may be; 0 is no limit.
func limited(n, limit int) int {
	if limit > 0 {
		return min(n, limit)
	}
	return n
}

// readAt fills b from off, or until the file ends, which is io.EOF.
func (f *files) readAt(p vfs.Path, b []byte, off int64) (int, error) {
	info, err := f.stat(p)
	switch {
	case err != nil:
		return 0, err
	case info.IsDir():
		return 0, vfs.IsDirectory
	}
	n, err := f.read(p, info.Size, b, off)
	return n, f.since(info, p, err)
}

// since is an error of what was looked at before. A plugin has no words for it where
// that was taken away by somebody else in between.
func (f *files) since(was vfs.Info, p vfs.Path, err error) error {
	if err == io.EOF || vfs.KindOf(err) != vfs.Internal {
		return err
	}
	switch i, gone := f.stat(p); {
	case vfs.KindOf(gone) == vfs.NotFound:
		return gone
	case gone != nil || i.IsDir() == was.IsDir():
		return err
	case i.IsDir():
		return vfs.IsDirectory
	}
	return vfs.NotDirectory
}

// read is readAt of a file whose length is said to be length. 0 may also be that
// of a file that is made when it is read: one call gives all of it.
func (f *files) read(p vfs.Path, length int64, b []byte, off int64) (n int, err error) {
	for n < len(b) {
		at := off + int64(n)
		if length > 0 && at >= length {
			return n, io.EOF
		}
		k, err := f.piece(p, length, b[n:], at)
		if err != nil {
			return n, err
		}
		n += k
		if k == 0 || length == 0 && n < len(b) {
			return n, io.EOF
		}
	}
	return n, nil
}

// piece reads once. Plugins that ignore the offset and the length are common:
// what they answer is cut here.
func (f *files) piece(p vfs.Path, length int64, b []byte, off int64) (n int, err error) {
	size := int64(len(b))
	err = f.guest.Read(p, off, size, func(got []byte) {
		if off > 0 && (int64(len(got)) > size || int64(len(got)) == length) {
			got = got[min(off, int64(len(got))):]
		}
		n = copy(b, got)
	})
	return n, err
}

// whole reads a file that is to be written again.
func (f *files) whole(p vfs.Path, length int64) ([]byte, error) {
	if length > maxPut {
		return nil, errPut
	}
	if length == 0 {
		return nil, nil
	}
	b := make([]byte, length)
	n, err := f.read(p, length, b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:n], err
}
