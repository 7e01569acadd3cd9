//go:build unix

package shell

import (
	"os/exec"
	"syscall"
)

// signalOf is the number of the signal that has ended a program.
func signalOf(e *exec.ExitError) int {
	if status, ok := e.Sys().(syscall.WaitStatus); ok {
		return int(status.Signal())
	}
	return 0
}
