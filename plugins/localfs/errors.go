package localfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/pfs-project/pfs/vfs"
)

var (
	errSpecial = vfs.Permission.With("not a regular file")
	errLinked  = vfs.Permission.With("the file has more than one name; replace it as a whole")
)

// kindOf turns an error of the system into one that says no path of it.
func kindOf(err error) error {
	var kind vfs.Kind
	var e *vfs.Error
	var no syscall.Errno
	var link *vfs.LinkError
	switch {
	case err == nil, errors.As(err, &e), errors.As(err, &link), errors.As(err, &kind):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &no) && errnos[no] != 0:
		return errnos[no] // before the groups that io/fs makes of them
	case errors.Is(err, fs.ErrNotExist):
		return vfs.NotFound
	case errors.Is(err, fs.ErrExist):
		return vfs.Exists
	case errors.Is(err, fs.ErrPermission):
		return vfs.Permission
	case errors.Is(err, os.ErrClosed):
		return vfs.Unavailable.With("unmounted")
	}
	if no != 0 {
		return vfs.Internal.With(no.Error())
	}
	var at *fs.PathError
	var two *os.LinkError
	if !errors.As(err, &at) && !errors.As(err, &two) {
		return err // of the content that was to be written
	}
	// What is left is os.Root, which has no error value for a way out.
	return vfs.Permission.With("leads out of the directory")
}
