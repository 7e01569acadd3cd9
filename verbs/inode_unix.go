//go:build unix

package verbs

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// inode tells a file of this machine from all others.
func inode(st fs.FileInfo) string {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d:%d", s.Dev, s.Ino)
	}
	return ""
}

// notEmpty reports whether a local directory was not removed for what is in it.
func notEmpty(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST)
}
