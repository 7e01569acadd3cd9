package localfs

import (
	"io/fs"
	"syscall"

	"github.com/pfs-project/pfs/vfs"
)

const noWait = 0

var errnos = map[syscall.Errno]vfs.Kind{
	syscall.ENOTDIR: vfs.NotDirectory, syscall.ERROR_DIR_NOT_EMPTY: vfs.NotEmpty,
	112: vfs.NoSpace, // ERROR_DISK_FULL
}

func identity(fs.FileInfo) []uint64 { return nil }

func linked(fs.FileInfo) bool { return false }
