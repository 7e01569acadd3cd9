//go:build unix

package store

import (
	"syscall"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

// private lets the owner alone read f. Files in memory have no mode.
func private(f File) error {
	if fd := f.Fd(); fd != pebblevfs.InvalidFd {
		return syscall.Fchmod(int(fd), 0o600)
	}
	return nil
}
