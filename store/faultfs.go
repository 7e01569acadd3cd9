package store

import (
	"fmt"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

// faultFS tells of failed writes and syncs in the database's directory before
// pebble hears of them: to some it answers by ending the process on the spot.
type faultFS struct {
	pebblevfs.FS
	dir   string
	fault *fault
}

func (w faultFS) wrap(name string, f pebblevfs.File, err error) (pebblevfs.File, error) {
	if err != nil || w.PathDir(name) != w.dir && name != w.dir {
		return f, err
	}
	return faultFile{f, name, w.fault}, nil
}

// Unwrap returns the filesystem below.
func (w faultFS) Unwrap() pebblevfs.FS { return w.FS }

func (w faultFS) Create(name string, c pebblevfs.DiskWriteCategory) (pebblevfs.File, error) {
	f, err := w.FS.Create(name, c)
	return w.wrap(name, f, err)
}

func (w faultFS) OpenReadWrite(name string, c pebblevfs.DiskWriteCategory, o ...pebblevfs.OpenOption) (pebblevfs.File, error) {
	f, err := w.FS.OpenReadWrite(name, c, o...)
	return w.wrap(name, f, err)
}

func (w faultFS) ReuseForWrite(from, to string, c pebblevfs.DiskWriteCategory) (pebblevfs.File, error) {
	f, err := w.FS.ReuseForWrite(from, to, c)
	return w.wrap(to, f, err)
}

func (w faultFS) OpenDir(name string) (pebblevfs.File, error) {
	f, err := w.FS.OpenDir(name)
	return w.wrap(name, f, err)
}

type faultFile struct {
	pebblevfs.File
	name  string
	fault *fault
}

func (f faultFile) hear(what string, err error) error {
	if err != nil {
		f.fault.raise(fmt.Errorf("%s %s: %w", what, f.name, err))
	}
	return err
}

func (f faultFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	return n, f.hear("write", err)
}

func (f faultFile) WriteAt(b []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(b, off)
	return n, f.hear("write", err)
}

func (f faultFile) Sync() error     { return f.hear("sync", f.File.Sync()) }
func (f faultFile) SyncData() error { return f.hear("sync", f.File.SyncData()) }

func (f faultFile) SyncTo(n int64) (bool, error) {
	full, err := f.File.SyncTo(n)
	return full, f.hear("sync", err)
}
