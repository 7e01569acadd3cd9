package volume

import (
	"errors"
	"os"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

// FS returns under with writes that wait for space instead of failing, and
// with every write and sync timed.
func (v *Volume) FS(under pebblevfs.FS) pebblevfs.FS { return patientFS{under, v} }

type patientFS struct {
	pebblevfs.FS
	v *Volume
}

// Unwrap returns the filesystem below.
func (p patientFS) Unwrap() pebblevfs.FS { return p.FS }

// again does f until it finds space.
func (v *Volume) again(what, name string, f func() error) error {
	for {
		end := v.Begin(what, name)
		err := f()
		end()
		if err == nil || !v.Retry(err) {
			return err
		}
	}
}

func (p patientFS) file(what, name string, open func() (pebblevfs.File, error)) (pebblevfs.File, error) {
	var f pebblevfs.File
	err := p.v.again(what, name, func() (err error) {
		f, err = open()
		return err
	})
	if err != nil {
		return f, err
	}
	return patientFile{f, name, p.v}, nil
}

func (p patientFS) Create(name string, c pebblevfs.DiskWriteCategory) (pebblevfs.File, error) {
	return p.file("create", name, func() (pebblevfs.File, error) { return p.FS.Create(name, c) })
}

func (p patientFS) OpenReadWrite(name string, c pebblevfs.DiskWriteCategory, o ...pebblevfs.OpenOption) (pebblevfs.File, error) {
	return p.file("open", name, func() (pebblevfs.File, error) { return p.FS.OpenReadWrite(name, c, o...) })
}

// ReuseForWrite renames first: should it be tried again, the old name may be
// gone, and then a new file does as well.
func (p patientFS) ReuseForWrite(from, to string, c pebblevfs.DiskWriteCategory) (pebblevfs.File, error) {
	tried := false
	return p.file("open", to, func() (pebblevfs.File, error) {
		f, err := p.FS.ReuseForWrite(from, to, c)
		if err != nil && tried && errors.Is(err, os.ErrNotExist) {
			return p.FS.Create(to, c)
		}
		tried = true
		return f, err
	})
}

func (p patientFS) OpenDir(name string) (pebblevfs.File, error) {
	f, err := p.FS.OpenDir(name)
	if err != nil {
		return f, err
	}
	return patientFile{f, name, p.v}, nil
}

func (p patientFS) Link(from, to string) error {
	return p.v.again("link", to, func() error { return p.FS.Link(from, to) })
}

func (p patientFS) Rename(from, to string) error {
	return p.v.again("rename", to, func() error { return p.FS.Rename(from, to) })
}

func (p patientFS) MkdirAll(dir string, perm os.FileMode) error {
	return p.v.again("mkdir", dir, func() error { return p.FS.MkdirAll(dir, perm) })
}

// patientFile leaves Preallocate as it is: a wish, which waits for no space.
type patientFile struct {
	pebblevfs.File
	name string
	v    *Volume
}

func (f patientFile) Write(b []byte) (n int, err error) {
	err = f.v.again("write", f.name, func() error {
		k, err := f.File.Write(b[n:])
		n += k
		return err
	})
	return n, err
}

func (f patientFile) WriteAt(b []byte, off int64) (n int, err error) {
	err = f.v.again("write", f.name, func() error {
		k, err := f.File.WriteAt(b[n:], off+int64(n))
		n += k
		return err
	})
	return n, err
}

func (f patientFile) Sync() error {
	defer f.v.Begin("sync", f.name)()
	return f.File.Sync()
}

func (f patientFile) SyncData() error {
	defer f.v.Begin("sync", f.name)()
	return f.File.SyncData()
}

func (f patientFile) SyncTo(n int64) (bool, error) {
	defer f.v.Begin("sync", f.name)()
	return f.File.SyncTo(n)
}
