//go:build unix

package api

import (
	"errors"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"
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
	err = raw.Control(func(fd uintptr) { closed, _ = peek(fd) })
	return closed || err != nil
}

// peek looks at what comes from the client without taking it: the end, or some
// bytes.
func peek(fd uintptr) (closed, more bool) {
	var b [1]byte
	switch n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT); err {
	case nil:
		return n == 0, n > 0
	case syscall.EAGAIN, syscall.EINTR:
		return false, false
	}
	return true, false
}

// left returns a channel that is closed when the client closes its side. stop
// ends the looking, before the connection is read again. A client that sends
// its next request already is not looked after any more.
func (c *conn) left() (left <-chan struct{}, stop func()) {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok || c.readUntil(time.Time{}) != nil {
		return nil, func() {}
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, func() {}
	}
	gone, done := make(chan struct{}), make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		closed := false
		err := raw.Read(func(fd uintptr) bool {
			var more bool
			closed, more = peek(fd)
			return closed || more
		})
		if closed || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			close(gone)
		}
	}()
	return gone, func() {
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0)) // on a closed one it has ended already
		<-done
	}
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
