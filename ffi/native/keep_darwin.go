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
// code has the hash: libraries are loaded by their paths here.
func keep(code []byte, sum string) (path string, err error) {
	if got := sha256.Sum256(code); hex.EncodeToString(got[:]) != sum {
		return "", vfs.Internal.With("the library is not what was loaded")
	}
	dir, err := os.MkdirTemp("", "pfs-plugin-*")
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "plugin.dylib")
	return path, os.WriteFile(path, code, 0o500)
}

// Settle makes the process ready: what a library prints goes where its errors go,
// and a fault ends it as it ends a program in C.
func Settle() error { return errors.Join(unix.Dup2(2, 1), plainFaults()) }
