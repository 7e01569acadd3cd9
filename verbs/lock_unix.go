//go:build unix

package verbs

import (
	"os"
	"syscall"
)

// lock marks a file as being written until it is closed or the process has ended.
// It fails if it is marked.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
