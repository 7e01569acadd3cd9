package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"
)

const (
	formatFile    = "FORMAT"
	formatVersion = 1
)

// prepare makes dir a store's directory, or checks that it is one that this
// version can read.
func prepare(disk FS, dir string) error {
	version, err := readFormat(disk, dir)
	switch {
	case err == nil && version > formatVersion:
		return fmt.Errorf("%w: format %d, and this program reads up to %d", ErrNewer, version, formatVersion)
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return err
	}
	desc, err := pebble.Peek(dir, disk)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if desc != nil && desc.Exists {
		return fmt.Errorf("a database without a %s file", formatFile)
	}
	if err := MakeDir(disk, dir); err != nil {
		return err
	}
	if err := SyncDir(disk, disk.PathDir(dir)); err != nil {
		return err
	}
	return writeFormat(disk, dir)
}

func readFormat(disk FS, dir string) (version int, err error) {
	f, err := disk.Open(disk.PathJoin(dir, formatFile))
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

func writeFormat(disk FS, dir string) error {
	return WriteFile(disk, disk.PathJoin(dir, formatFile), fmt.Appendf(nil, "pfs-store %d\n", formatVersion))
}
