//go:build unix

package server

import "syscall"

// openNoWait keeps the open of a pipe from waiting for a writer.
const openNoWait = syscall.O_NONBLOCK
