package bench

import (
	"os"
	"os/exec"
	"syscall"
)

// flush returns when all that was written on this machine is on its disks.
func flush() { syscall.Sync() }

// dataSync returns when what was written to f is on its disk. What a reader does
// not need, such as the time of the write, may be written later.
func dataSync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// apart has a node not hear what the terminal sends, and die with this process.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
