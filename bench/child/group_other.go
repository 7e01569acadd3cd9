//go:build !linux

package child

import "os/exec"

// apart leaves a server as it is.
func apart(*exec.Cmd) {}

func (p *Process) kill() error { return p.cmd.Process.Kill() }
