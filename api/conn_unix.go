//go:build unix

package api

import (
	"net"
	"runtime"
	"syscall"
)

// gone reports whether the client has closed its side, without taking bytes.
func (c *conn) gone() bool {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	closed := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch err {
		case nil:
			closed = n == 0
		case syscall.EAGAIN, syscall.EINTR:
		default:
			closed = true
		}
	})
	return closed || err != nil
}

// boundUnsent keeps the kernel from taking much more than the client reads, so
// that a write deadline measures the client. Linux has an option for it.
func boundUnsent(c net.Conn) {
	const notSentLowat = 25 // TCP_NOTSENT_LOWAT
	if sc, ok := c.(*net.TCPConn); ok && runtime.GOOS == "linux" {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { // without it, slow readers are judged more roughly
				_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, notSentLowat, 128<<10)
			})
		}
	}
}
