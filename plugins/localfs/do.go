package localfs

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// Do makes one change. It is synced before it returns.
func (f *FS) Do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	do := map[vfs.Verb]func(vfs.Op) (int64, error){
		vfs.Create: f.create, vfs.Mkdir: f.mkdir, vfs.Write: f.write, vfs.Truncate: f.truncate, vfs.Chmod: f.chmod,
		vfs.Touch: f.touch, vfs.Remove: f.remove, vfs.RemoveAll: f.remove, vfs.Rename: f.rename, vfs.Symlink: f.symlink,
	}[op.Verb]
	switch {
	case do == nil || len(op.Refs) > 0:
		return vfs.Result{}, vfs.Unsupported
	case hidden(op.Path) || op.To != "" && hidden(op.To):
		return vfs.Result{}, vfs.Permission.With("names that begin with " + tempPrefix + " are not to be used")
	}
	if op.Verb == vfs.Write && op.Flag&vfs.FlagTruncate != 0 && op.Flag&vfs.FlagCreate != 0 && op.Off == 0 {
		return f.Put(ctx, op, bytes.NewReader(op.Data))
	}
	defer f.lock(op.Path, op.To)()
	if err := f.check(op); err != nil {
		return vfs.Result{}, err
	}
	n, err := do(op)
	if err != nil {
		return vfs.Result{}, kindOf(err)
	}
	return f.result(op.Path, n), nil
}

// result is that of a change of what is at p, or was.
func (f *FS) result(p vfs.Path, n int64) vfs.Result {
	r := vfs.Result{N: n}
	if st, err := f.root.Lstat(name(p)); err == nil {
		r.Version = version(st)
	}
	return r
}

// free returns nil if nothing is at p and its directory is there.
func (f *FS) free(p vfs.Path) error {
	_, err := f.look(p)
	switch {
	case err == nil:
		return vfs.Exists
	case vfs.KindOf(err) != vfs.NotFound:
		return err
	}
	if st, err := f.file(p.Dir()); err != nil {
		return err
	} else if !st.IsDir() {
		return vfs.NotDirectory
	}
	return nil
}

func (f *FS) create(op vfs.Op) (int64, error) {
	if st, err := f.look(op.Path); err == nil && st.IsDir() {
		return 0, vfs.Exists.With("directory")
	}
	if err := f.free(op.Path); err != nil {
		return 0, err
	}
	h, err := f.root.OpenFile(name(op.Path), os.O_WRONLY|os.O_CREATE|os.O_EXCL|noWait, perm(op.Mode, 0o644))
	if err != nil {
		return 0, err
	}
	return 0, errors.Join(h.Sync(), h.Close(), f.syncDir(op.Path.Dir()))
}

func perm(m vfs.Mode, def fs.FileMode) fs.FileMode {
	if m == 0 {
		return def
	}
	return fs.FileMode(m) & fs.ModePerm
}

func (f *FS) mkdir(op vfs.Op) (int64, error) {
	if op.Path.IsRoot() {
		return 0, vfs.Exists
	}
	if err := f.free(op.Path); err != nil {
		return 0, err
	}
	if err := f.root.Mkdir(name(op.Path), perm(op.Mode, 0o755)); err != nil {
		return 0, err
	}
	return 0, f.syncDir(op.Path.Dir())
}

// syncDir makes the names in a directory durable.
func (f *FS) syncDir(p vfs.Path) error {
	d, err := f.root.Open(name(p))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// write writes a piece in place. What replaces the file goes through Put.
func (f *FS) write(op vfs.Op) (int64, error) {
	_, err := f.file(op.Path)
	made := vfs.KindOf(err) == vfs.NotFound
	switch {
	case made && op.Flag&vfs.FlagCreate == 0:
		return 0, err
	case made:
		if _, err = f.create(vfs.Op{Path: op.Path, Mode: op.Mode}); err != nil {
			return 0, err
		}
	case err != nil:
		return 0, err
	case op.Flag&vfs.FlagExclusive != 0:
		return 0, vfs.Exists
	}
	flag := os.O_WRONLY
	end := op.Appends()
	if end {
		flag |= os.O_APPEND
	}
	h, err := f.open(op.Path, flag)
	if err != nil {
		return 0, err
	}
	n := 0
	if op.Flag&vfs.FlagTruncate != 0 { // not by opening it: it is looked at first
		err = h.Truncate(0)
	}
	switch {
	case err != nil:
	case end:
		n, err = h.Write(op.Data)
	default:
		n, err = h.WriteAt(op.Data, op.Off)
	}
	if err == nil {
		err = h.Sync()
	}
	return int64(n), errors.Join(err, h.Close())
}

func (f *FS) truncate(op vfs.Op) (int64, error) {
	h, err := f.open(op.Path, os.O_WRONLY)
	if err != nil {
		return 0, err
	}
	if err = h.Truncate(op.Off); err == nil {
		err = h.Sync()
	}
	return 0, errors.Join(err, h.Close())
}

func (f *FS) chmod(op vfs.Op) (int64, error) {
	if err := f.settable(op.Path); err != nil {
		return 0, err
	}
	if err := f.root.Chmod(name(op.Path), fs.FileMode(op.Mode)&fs.ModePerm); err != nil {
		return 0, err
	}
	return 0, f.syncAt(op.Path)
}

// settable returns nil if the attributes of what is at p may be changed.
func (f *FS) settable(p vfs.Path) error {
	st, err := f.file(p)
	switch {
	case err != nil || st.IsDir():
		return err
	case !st.Mode().IsRegular():
		return errSpecial
	case linked(st):
		return errLinked
	}
	return nil
}

// syncAt makes the attributes of what is at p durable.
func (f *FS) syncAt(p vfs.Path) error {
	h, err := f.root.OpenFile(name(p), os.O_RDONLY|noWait, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil // who cannot read it cannot sync it
	}
	if err != nil {
		return err
	}
	return errors.Join(h.Sync(), h.Close())
}

func (f *FS) touch(op vfs.Op) (int64, error) {
	err := f.settable(op.Path)
	switch {
	case vfs.KindOf(err) == vfs.NotFound:
		return f.create(vfs.Op{Path: op.Path, Mode: op.Mode})
	case err != nil:
		return 0, err
	}
	now := time.Now()
	if err := f.root.Chtimes(name(op.Path), now, now); err != nil {
		return 0, err
	}
	return 0, f.syncAt(op.Path)
}

func (f *FS) remove(op vfs.Op) (int64, error) {
	if op.Path.IsRoot() {
		return 0, vfs.Permission.With("mount point")
	}
	st, err := f.look(op.Path)
	if err != nil {
		return 0, err
	}
	if op.Verb == vfs.RemoveAll && st.IsDir() {
		err = f.root.RemoveAll(name(op.Path))
	} else {
		if st.IsDir() {
			_, _ = f.names(op.Path) // sweeps
		}
		err = f.root.Remove(name(op.Path))
	}
	return 0, errors.Join(err, f.syncDir(op.Path.Dir()))
}

func (f *FS) rename(op vfs.Op) (int64, error) {
	st, err := f.look(op.Path)
	switch {
	case err != nil:
		return 0, err
	case op.Path.IsRoot() || op.To.IsRoot():
		return 0, vfs.Permission.With("mount point")
	case op.To == op.Path:
		return 0, nil
	case op.To.Under(op.Path) && st.IsDir():
		return 0, vfs.Invalid.With("into itself")
	}
	switch old, err := f.look(op.To); {
	case vfs.KindOf(err) == vfs.NotFound:
	case err != nil:
		return 0, err
	case st.IsDir() && !old.IsDir():
		return 0, vfs.NotDirectory
	case !st.IsDir() && old.IsDir():
		return 0, vfs.IsDirectory
	case old.IsDir() && !os.SameFile(st, old): // which os.Root does not replace, as others do if it is empty
		if err := f.root.Remove(name(op.To)); err != nil {
			return 0, err
		}
	}
	if err := f.root.Rename(name(op.Path), name(op.To)); err != nil {
		return 0, err
	}
	return 0, errors.Join(f.syncDir(op.Path.Dir()), f.syncDir(op.To.Dir()))
}

// symlink makes a link that stays inside.
func (f *FS) symlink(op vfs.Op) (int64, error) {
	if !stays(op.Path, op.Target) {
		return 0, vfs.Permission.With("the target leads out of the directory; give one relative to the link")
	}
	if err := f.free(op.Path); err != nil {
		return 0, err
	}
	if err := f.root.Symlink(op.Target, name(op.Path)); err != nil {
		return 0, err
	}
	return 0, f.syncDir(op.Path.Dir())
}
