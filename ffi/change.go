package ffi

import (
	"errors"

	"github.com/pfs-project/pfs/vfs"
)

// replace is what the ABI has for a write that replaces the file.
const replace = vfs.FlagCreate | vfs.FlagTruncate

var errPut = vfs.TooLarge.Withf("this plugin takes at most %d bytes at once; write pieces at an offset", maxPut)

// do makes one change.
func (f *files) do(op vfs.Op) (r vfs.Result, err error) {
	if !f.verbs.Has(op.Verb) || len(op.Refs) > 0 {
		return r, vfs.Unsupported
	}
	f.write.Lock()
	defer f.write.Unlock()
	if err := f.check(op); err != nil {
		return r, err
	}
	switch op.Verb {
	case vfs.Write:
		r.N, err = f.writeOp(op)
	case vfs.Truncate:
		err = f.truncate(op)
	case vfs.Create, vfs.Mkdir:
		err = f.create(op)
	case vfs.Chmod:
		_, err = f.stat(op.Path)
		if err == nil {
			err = f.guest.Change(op)
		}
	case vfs.Remove, vfs.RemoveAll, vfs.Rename:
		err = f.move(op)
	default:
		err = vfs.Unsupported
	}
	return r, err
}

// check compares what is there with what the change expects.
func (f *files) check(op vfs.Op) error {
	if op.If.Kind == vfs.Always {
		return nil
	}
	_, err := f.stat(op.Path)
	return op.If.Unversioned(err)
}

// create makes an empty file or a directory where there is nothing.
func (f *files) create(op vfs.Op) error {
	if err := vfs.MayMake(f.stat(op.Path)); err != nil {
		return err
	}
	if err := f.parent(op.Path); err != nil {
		return err
	}
	if op.Verb == vfs.Mkdir && op.Mode.Perm() == 0 {
		op.Mode = 0o755
	}
	return f.guest.Change(op)
}

// parent returns nil if there is a directory for what is to be made at p: not all
// that a plugin answers to that tells why.
func (f *files) parent(p vfs.Path) error {
	i, err := f.stat(p.Dir())
	if err == nil && !i.IsDir() {
		err = vfs.NotDirectory
	}
	return err
}

// move removes or renames what is there.
func (f *files) move(op vfs.Op) error {
	if op.Path.IsRoot() || op.Verb == vfs.Rename && op.To.IsRoot() {
		return vfs.Permission.With("mount point")
	}
	if _, err := f.stat(op.Path); err != nil || op.Verb == vfs.Rename && op.Path == op.To {
		return err
	}
	return f.guest.Change(op)
}

// writeOp writes as the Op says.
func (f *files) writeOp(op vfs.Op) (int64, error) {
	info, err := f.stat(op.Path)
	missing, err := op.MayWrite(info, err)
	if err == nil && missing {
		err = f.parent(op.Path)
	}
	if err != nil {
		return 0, err
	}
	atEnd := op.Appends()
	n, off := int64(len(op.Data)), op.Off
	if atEnd {
		off = info.Size
	}
	if missing || op.Flag&vfs.FlagTruncate != 0 {
		if atEnd {
			off = 0
		}
		return n, f.splice(op.Path, nil, op.Data, off)
	}
	if off <= info.Size { // what a plugin does with a hole is its own
		err := f.guest.Write(op.Path, op.Data, off, 0)
		if !errors.Is(err, ErrWhole) {
			return n, err
		}
	}
	old, err := f.whole(op.Path, info.Size)
	if err != nil {
		return 0, err
	}
	return n, f.splice(op.Path, old, op.Data, off)
}

// splice replaces a file by old with data at an offset in it.
func (f *files) splice(p vfs.Path, old, data []byte, off int64) error {
	end := off + int64(len(data))
	if end > maxPut || int64(len(old)) > maxPut {
		return errPut
	}
	switch {
	case off == 0 && len(data) >= len(old):
		old = data
	case int64(len(old)) < end:
		old = append(old, make([]byte, end-int64(len(old)))...)
		fallthrough
	default:
		copy(old[off:], data)
	}
	return f.guest.Write(p, old, WholeFile, replace)
}

// truncate is a write in this ABI.
func (f *files) truncate(op vfs.Op) error {
	info, err := f.stat(op.Path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return vfs.IsDirectory
	case op.Off == info.Size:
		return nil
	case op.Off < 0 || op.Off > maxPut:
		return errPut
	}
	old, err := f.whole(op.Path, info.Size)
	if err != nil {
		return err
	}
	old = append(old, make([]byte, max(0, op.Off-int64(len(old))))...)
	return f.guest.Write(op.Path, old[:op.Off], WholeFile, replace)
}
