//go:build unix

package localfs

import (
	"io/fs"
	"syscall"

	"github.com/pfs-project/pfs/vfs"
)

// noWait opens a pipe at once, for it to be refused then.
const noWait = syscall.O_NONBLOCK | syscall.O_NOFOLLOW

var errnos = map[syscall.Errno]vfs.Kind{
	syscall.ENOTDIR: vfs.NotDirectory, syscall.EISDIR: vfs.IsDirectory, syscall.ENOTEMPTY: vfs.NotEmpty,
	syscall.ENOSPC: vfs.NoSpace, syscall.EDQUOT: vfs.NoSpace, syscall.EFBIG: vfs.TooLarge,
	syscall.ENAMETOOLONG: vfs.Invalid, syscall.EINVAL: vfs.Invalid, syscall.ELOOP: vfs.Permission,
	syscall.EROFS: vfs.Permission, syscall.EXDEV: vfs.Unsupported, syscall.EMFILE: vfs.Throttled,
	syscall.ENFILE: vfs.Throttled, syscall.ENXIO: vfs.Permission, syscall.EBUSY: vfs.Locked,
}

// identity tells a file from another that has taken its name.
func identity(st fs.FileInfo) []uint64 {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return []uint64{uint64(s.Dev), s.Ino}
	}
	return nil
}

// linked reports whether a file has more than one name: the others may lie
// outside the directory.
func linked(st fs.FileInfo) bool {
	s, ok := st.Sys().(*syscall.Stat_t)
	return ok && s.Nlink > 1
}
