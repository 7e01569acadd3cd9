package localfs

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/pfs-project/pfs/vfs"
)

// Put replaces the file by what r has, once all of it is on the disk.
func (f *FS) Put(_ context.Context, op vfs.Op, r io.Reader) (vfs.Result, error) {
	if hidden(op.Path) {
		return vfs.Result{}, vfs.Permission.With("names that begin with " + tempPrefix + " are not to be used")
	}
	mode, err := f.replaceable(op)
	if err != nil {
		return vfs.Result{}, err
	}
	temp := op.Path.Dir().Child(tempPrefix + rand.Text())
	n, err := f.fill(temp, mode, r)
	if err == nil {
		err = f.settle(temp, op)
	}
	if err != nil {
		rm := f.root.Remove(name(temp))
		if errors.Is(rm, fs.ErrNotExist) {
			rm = nil
		}
		return vfs.Result{}, kindOf(errors.Join(err, rm))
	}
	return f.result(op.Path, n), nil
}

// replaceable returns the mode that a file in the place of what is at the path
// is to have.
func (f *FS) replaceable(op vfs.Op) (fs.FileMode, error) {
	st, err := f.file(op.Path)
	switch {
	case vfs.KindOf(err) == vfs.NotFound:
		if err := f.free(op.Path); err != nil {
			return 0, err
		}
		return perm(op.Mode, 0o644), nil
	case err != nil:
		return 0, err
	case st.IsDir():
		return 0, vfs.IsDirectory
	case op.Flag&vfs.FlagExclusive != 0:
		return 0, vfs.Exists
	case !st.Mode().IsRegular():
		return 0, errSpecial
	}
	return st.Mode().Perm(), nil
}

// fill writes a new file with all of r and syncs it.
func (f *FS) fill(temp vfs.Path, mode fs.FileMode, r io.Reader) (int64, error) {
	h, err := f.root.OpenFile(name(temp), os.O_WRONLY|os.O_CREATE|os.O_EXCL|noWait, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(h, r)
	if err == nil {
		err = h.Chmod(mode)
	}
	if err == nil {
		err = h.Sync()
	}
	return n, errors.Join(err, h.Close())
}

// settle gives the new file its name, if the condition still holds.
func (f *FS) settle(temp vfs.Path, op vfs.Op) error {
	defer f.lock(op.Path)()
	if err := f.check(op); err != nil {
		return err
	}
	if _, err := f.replaceable(op); err != nil {
		return err
	}
	if err := f.root.Rename(name(temp), name(op.Path)); err != nil {
		return err
	}
	return f.syncDir(op.Path.Dir())
}
