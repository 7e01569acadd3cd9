package verbs

import (
	"os/exec"
	"syscall"
)

// apart has a command not hear what the terminal sends to the worker, end with
// all that it started when it is asked to, and die with the worker.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}
