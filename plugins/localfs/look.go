package localfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// name returns what the root calls p.
func name(p vfs.Path) string {
	if p.IsRoot() {
		return "."
	}
	return filepath.FromSlash(strings.TrimPrefix(string(p), "/"))
}

// hidden reports whether p names a file that is being written.
func hidden(p vfs.Path) bool {
	for _, e := range p.Elems() {
		if strings.HasPrefix(e, tempPrefix) {
			return true
		}
	}
	return false
}

// look returns what is at p, a link itself. A link on the way is a LinkError.
func (f *FS) look(p vfs.Path) (fs.FileInfo, error) {
	if hidden(p) {
		return nil, vfs.NotFound
	}
	elems := p.Elems()
	at := vfs.Root
	for i, e := range elems {
		at = at.Child(e)
		if i == len(elems)-1 {
			break
		}
		st, err := f.root.Lstat(name(at))
		switch {
		case err != nil:
			return nil, kindOf(err)
		case st.Mode()&fs.ModeSymlink != 0:
			return nil, f.linkError(at, vfs.Root.Join(vfs.Path("/"+strings.Join(elems[i+1:], "/"))))
		case !st.IsDir():
			return nil, vfs.NotDirectory
		}
	}
	st, err := f.root.Lstat(name(p))
	return st, kindOf(err)
}

// file is look for what is to be followed: a link is a LinkError.
func (f *FS) file(p vfs.Path) (fs.FileInfo, error) {
	st, err := f.look(p)
	if err == nil && st.Mode()&fs.ModeSymlink != 0 {
		return nil, f.linkError(p, vfs.Root)
	}
	return st, err
}

// linkError says where the link at p leads, if that is inside.
func (f *FS) linkError(p, rest vfs.Path) error {
	target, err := f.root.Readlink(name(p))
	if err != nil {
		return kindOf(err)
	}
	if !stays(p, target) {
		return vfs.Permission.Withf("the link %s leads out of the directory", p)
	}
	return &vfs.LinkError{At: p, Target: filepath.ToSlash(target), Rest: rest}
}

// stays reports whether a link at p with a target stays inside the directory.
// An absolute target is a path of the machine, and never does.
func stays(p vfs.Path, target string) bool {
	if target == "" || filepath.IsAbs(target) || strings.HasPrefix(target, "/") {
		return false
	}
	return filepath.IsLocal(filepath.Join(name(p.Dir()), filepath.FromSlash(target)))
}

// open opens the regular file at p. It does not wait for the other end of a
// pipe, or for a device, that is in its place.
func (f *FS) open(p vfs.Path, flag int) (*os.File, error) {
	st, err := f.file(p)
	switch {
	case err != nil:
		return nil, err
	case st.IsDir():
		return nil, vfs.IsDirectory
	case !st.Mode().IsRegular():
		return nil, errSpecial
	}
	h, err := f.root.OpenFile(name(p), flag|noWait, 0)
	if err != nil {
		return nil, kindOf(err)
	}
	// What was looked at may have been replaced since.
	now, err := h.Stat()
	if err == nil && !now.Mode().IsRegular() {
		err = errSpecial
	}
	if err == nil && flag != os.O_RDONLY && linked(now) {
		err = errLinked
	}
	if err != nil {
		return nil, errors.Join(kindOf(err), h.Close())
	}
	return h, nil
}
