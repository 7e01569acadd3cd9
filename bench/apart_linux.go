package bench

import (
	"fmt"
	"os"
	"syscall"
)

// flush returns when all that was written on this machine is on its disks.
func flush() { syscall.Sync() }

// dataSync returns when what was written to f is on its disk. What a reader does
// not need, such as the time of the write, may be written later.
func dataSync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// roomForFiles lets this process, and those that it starts, have so many files
// and connections open.
func roomForFiles(n int) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	want := uint64(n)
	if l.Cur >= want {
		return nil
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: want, Max: max(l.Max, want)}); err != nil {
		return fmt.Errorf("%d files may not be open at once, of %d that are needed (ulimit -n): %w", l.Cur, n, err)
	}
	return nil
}
