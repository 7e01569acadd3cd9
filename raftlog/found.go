package raftlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The kinds of log stores.
const (
	Bolt   = "bolt"
	Pebble = "pebble"
)

// Found returns the kinds of logs in dir, nearly always one or none. disk is where a
// log of pebble lives, nil for the disk.
func Found(dir string, disk vfs.FS) (kinds []string, err error) {
	switch _, err := os.Stat(filepath.Join(dir, boltFile)); {
	case err == nil:
		kinds = append(kinds, Bolt)
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
		return nil, err
	}
	if disk == nil {
		disk = vfs.Default
	}
	if _, err := disk.Stat(dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return kinds, err
	}
	desc, err := pebble.Peek(dir, disk)
	if err == nil && desc.Exists {
		kinds = append(kinds, Pebble)
	}
	return kinds, err
}

// only returns the kind of the one log in dir. None is fs.ErrNotExist.
func only(dir string) (string, error) {
	switch kinds, err := Found(dir, nil); {
	case err != nil:
		return "", err
	case len(kinds) == 0:
		return "", fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
	case len(kinds) > 1:
		return "", fmt.Errorf("%s has a log of bolt, %s, and one of pebble: move away the one that the node has not used", dir, boltFile)
	default:
		return kinds[0], nil
	}
}

// OpenFound opens the log in dir, whichever store wrote it. One that is not
// there is an error: fs.ErrNotExist.
func OpenFound(dir string) (Store, error) {
	switch kind, err := only(dir); {
	case err != nil:
		return nil, fmt.Errorf("open raft log: %w", err)
	case kind == Bolt:
		return OpenBolt(dir)
	default:
		return OpenPebble(dir, nil)
	}
}
