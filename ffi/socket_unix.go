//go:build unix

package ffi

import (
	"net"
	"os"
	"syscall"
)

// pair returns two ends of a connection; theirs is for a process to inherit.
func pair() (ours net.Conn, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	one, theirs := os.NewFile(uintptr(fds[0]), "plugin"), os.NewFile(uintptr(fds[1]), "node")
	defer one.Close() // FileConn has a copy
	if ours, err = net.FileConn(one); err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}
