package native

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/pfs-project/pfs/vfs"
)

// keep writes code to a file that only this user reaches, and returns its path if
// code has the hash: libraries are loaded by their paths here. drop removes it again.
func keep(code []byte, sum string) (path string, drop func(), err error) {
	if got := sha256.Sum256(code); hex.EncodeToString(got[:]) != sum {
		return "", nil, vfs.Internal.With("the library is not what was loaded")
	}
	dir, err := os.MkdirTemp("", "pfs-plugin-*")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "plugin.dylib")
	drop = func() { _ = os.RemoveAll(dir) } // a temporary directory
	if err := os.WriteFile(path, code, 0o500); err != nil {
		drop()
		return "", nil, err
	}
	return path, drop, nil
}

// Settle makes the process ready: what a library prints goes where its errors go,
// and a fault ends it as it ends a program in C.
func Settle() error { return errors.Join(unix.Dup2(2, 1), plainFaults()) }
