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

// Found returns the kind of the log in dir, "" if there is none. disk is where a
// log of pebble lives, nil for the disk.
func Found(dir string, disk vfs.FS) (string, error) {
	_, err := os.Stat(filepath.Join(dir, boltFile))
	if err == nil {
		return Bolt, nil
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return "", err
	}
	if disk == nil {
		disk = vfs.Default
	}
	if _, err := disk.Stat(dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return "", err
	}
	desc, err := pebble.Peek(dir, disk)
	if err != nil || !desc.Exists {
		return "", err
	}
	return Pebble, nil
}

// OpenFound opens the log in dir, whichever store wrote it. One that is not
// there is an error: fs.ErrNotExist.
func OpenFound(dir string) (Store, error) {
	switch kind, err := Found(dir, nil); {
	case err != nil:
		return nil, fmt.Errorf("open raft log: %w", err)
	case kind == Bolt:
		return OpenBolt(dir)
	case kind == Pebble:
		return OpenPebble(dir, nil)
	default:
		return nil, fmt.Errorf("open raft log in %s: %w", dir, fs.ErrNotExist)
	}
}
