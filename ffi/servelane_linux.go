package ffi

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// serveLanes answers what comes through n lanes: call makes a call and puts its
// answer into the room that it is given. end is told when a lane is of no use any
// more.
func serveLanes(n int, call func(k kind, body, room []byte) (state, []byte), end func(error)) error {
	if n == 0 {
		return nil
	}
	shared, err := unix.Mmap(sharedFile, 0, sharedSize(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	for i := range n {
		go func() { end(serveLane(shared, i, call)) }()
	}
	return nil
}

// serveLane answers until the node is gone. Reads block a thread: that is quicker
// than to be woken.
func serveLane(shared []byte, i int, call func(k kind, body, room []byte) (state, []byte)) error {
	window := windowOf(shared, i)
	asks, answers := laneFiles+2*i, laneFiles+2*i+1
	for {
		if err := one(unix.Read, asks); err != nil {
			return err
		}
		k, body, err := laneAsk(shared, window)
		if err != nil {
			return err
		}
		state, out := call(k, body, window[laneHead:])
		laneSay(window, state, len(out))
		if err := one(unix.Write, answers); err != nil {
			return err
		}
	}
}

// one moves one byte.
func one(move func(int, []byte) (int, error), fd int) error {
	var b [1]byte
	for {
		switch n, err := move(fd, b[:]); {
		case errors.Is(err, unix.EINTR):
		case err == nil && n == 0:
			return io.EOF
		default:
			return err
		}
	}
}
