//go:build unix

package wasmhost

import (
	"os"
	"syscall"
)

// mayCompile reports whether the system lets this process make code. Where it does
// not, as under MemoryDenyWriteExecute= of systemd, modules are interpreted.
func mayCompile() bool {
	b, err := syscall.Mmap(-1, 0, os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return false
	}
	err = syscall.Mprotect(b, syscall.PROT_READ|syscall.PROT_EXEC)
	_ = syscall.Munmap(b) // it was mapped
	return err == nil
}
