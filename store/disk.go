package store

import (
	"errors"
	"io"
	"io/fs"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

// FS is the disk under a store and what lies beside it: that of the system, or
// one in memory that a test takes the power of.
type FS = pebblevfs.FS

// File is an open file of an FS.
type File = pebblevfs.File

// Disk returns the FS of the operating system.
func Disk() FS { return pebblevfs.Default }

// Create makes a new, empty file, in the place of one of that name.
func Create(disk FS, name string) (File, error) {
	return disk.Create(name, pebblevfs.WriteCategoryUnspecified)
}

// SyncDir makes the names in dir durable.
func SyncDir(disk FS, dir string) error {
	d, err := disk.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// MakeDir makes dir, for its owner alone, and its missing parents, durably: a
// power cut must not take the directory with all that is in it.
func MakeDir(disk FS, dir string) error { return makeDir(disk, dir, 0o700) }

func makeDir(disk FS, dir string, mode fs.FileMode) error {
	parent := disk.PathDir(dir)
	if _, err := disk.Stat(dir); !errors.Is(err, fs.ErrNotExist) || parent == dir {
		return err
	}
	if err := makeDir(disk, parent, 0o755); err != nil {
		return err
	}
	if err := disk.MkdirAll(dir, mode); err != nil {
		return err
	}
	return SyncDir(disk, parent)
}

// ReadFile returns all of a small file.
func ReadFile(disk FS, name string) ([]byte, error) {
	f, err := disk.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

// WriteFile makes b the content of a file, durably when it returns nil, for its
// owner alone. Until
// then, and after a crash, the name has its old content or the new, whole; the
// new may be left over beside it, under the name with ".new" at its end.
func WriteFile(disk FS, name string, b []byte) error {
	f, err := Create(disk, name+".new")
	if err != nil {
		return err
	}
	if err = private(f); err == nil {
		_, err = f.Write(b)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := disk.Rename(name+".new", name); err != nil {
		return err
	}
	return SyncDir(disk, disk.PathDir(name))
}
