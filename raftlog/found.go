package raftlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// OpenFound opens the log in dir, whichever store wrote it. One that is not
// there is an error: fs.ErrNotExist.
func OpenFound(dir string) (Store, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open raft log: %w", err)
	}
	switch _, err := os.Stat(filepath.Join(dir, boltFile)); {
	case err == nil:
		return OpenBolt(dir)
	case errors.Is(err, fs.ErrNotExist):
		return OpenPebble(dir, vfs.Default)
	default:
		return nil, fmt.Errorf("open raft log: %w", err)
	}
}
