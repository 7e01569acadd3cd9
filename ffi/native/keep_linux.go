package native

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// keep writes code to a file in memory that nobody can change any more, and
// returns its path if what is in it has the hash. It stays open until drop is called,
// for a library that is not loaded.
func keep(code []byte, sum string) (path string, drop func(), err error) {
	fd, err := unix.MemfdCreate("plugin", unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if err == unix.EINVAL { // before Linux 6.3 all of them may be executed
		fd, err = unix.MemfdCreate("plugin", unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return "", nil, os.NewSyscallError("memfd_create", err)
	}
	path, drop = fmt.Sprintf("/proc/self/fd/%d", fd), func() { unix.Close(fd) }
	if err := sealed(fd, path, code, sum); err != nil {
		drop()
		return "", nil, err
	}
	return path, drop, nil
}

// sealed writes code to a file, whose path is given, and looks at what is in it then.
func sealed(fd int, path string, code []byte, sum string) error {
	for rest := code; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil {
			return os.NewSyscallError("write", err)
		}
		rest = rest[n:]
	}
	if err := supervise.Seal(fd); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if hex.EncodeToString(h.Sum(nil)) != sum {
		return vfs.Internal.With("the library is not what was loaded")
	}
	return nil
}

// Settle makes the process ready: the kernel ends it before all others when
// memory is short, what a library prints goes where its errors go, and a fault
// ends it as it ends a program in C.
func Settle() error {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // where it may
	return errors.Join(unix.Dup3(2, 1, 0), plainFaults())
}
