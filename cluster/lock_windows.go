package cluster

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// lockDir keeps other processes out of dir until the file is closed: it is
// opened without sharing.
func lockDir(dir string) (io.Closer, error) {
	name := filepath.Join(dir, lockFile)
	p, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(p, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", dir, ErrLocked, err)
	}
	return os.NewFile(uintptr(h), name), nil
}
