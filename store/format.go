package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

const (
	formatFile    = "FORMAT"
	formatVersion = 1
)

// prepare makes dir a store's directory, or checks that it is one that this
// version can read.
func prepare(fsys pebblevfs.FS, dir string) error {
	version, err := readFormat(fsys, dir)
	switch {
	case err == nil && version > formatVersion:
		return fmt.Errorf("format %d is newer than this program, which reads up to %d", version, formatVersion)
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return err
	}
	desc, err := pebble.Peek(dir, fsys)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if desc != nil && desc.Exists {
		return fmt.Errorf("a database without a %s file", formatFile)
	}
	if err := makeDir(fsys, dir); err != nil {
		return err
	}
	if err := syncDir(fsys, fsys.PathDir(dir)); err != nil {
		return err
	}
	return writeFormat(fsys, dir)
}

// makeDir makes dir and its missing parents, durably: a power cut must not take
// the directory with all that is in it.
func makeDir(fsys pebblevfs.FS, dir string) error {
	parent := fsys.PathDir(dir)
	if _, err := fsys.Stat(dir); !errors.Is(err, fs.ErrNotExist) || parent == dir {
		return err
	}
	if err := makeDir(fsys, parent); err != nil {
		return err
	}
	if err := fsys.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return syncDir(fsys, parent)
}

func readFormat(fsys pebblevfs.FS, dir string) (version int, err error) {
	f, err := fsys.Open(fsys.PathJoin(dir, formatFile))
	if err != nil {
		return 0, err
	}
	b, err := io.ReadAll(io.LimitReader(f, 64))
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	if n, err := fmt.Sscanf(string(b), "pfs-store %d\n", &version); n != 1 || err != nil || version < 1 {
		return 0, fmt.Errorf("%s file is damaged", formatFile)
	}
	return version, nil
}

// writeFormat writes the file beside its place first, so that a crash leaves
// no half of it.
func writeFormat(fsys pebblevfs.FS, dir string) error {
	name := fsys.PathJoin(dir, formatFile)
	f, err := fsys.Create(name+".tmp", pebblevfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "pfs-store %d\n", formatVersion)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(name+".tmp", name); err != nil {
		return err
	}
	return syncDir(fsys, dir)
}

func syncDir(fsys pebblevfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
