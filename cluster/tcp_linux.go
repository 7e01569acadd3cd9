package cluster

import (
	"os"
	"syscall"
	"time"
)

const tcpUserTimeout = 0x12 // TCP_USER_TIMEOUT of the system, not in package syscall

func setAckTime(fd uintptr, d time.Duration) error {
	err := syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))
	return os.NewSyscallError("setsockopt", err)
}
