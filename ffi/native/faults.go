//go:build linux || darwin

package native

import (
	"syscall"

	"github.com/ebitengine/purego"
)

// plainFaults gives the signals of faults back to the system. The Go runtime would
// print its registers and stacks, which say nothing of a library, and end with 2.
func plainFaults() error {
	signal, err := purego.Dlsym(purego.RTLD_DEFAULT, "signal")
	if err != nil {
		return err
	}
	for _, s := range []syscall.Signal{syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGABRT, syscall.SIGTRAP} {
		purego.SyscallN(signal, uintptr(s), 0) // SIG_DFL
	}
	return nil
}
