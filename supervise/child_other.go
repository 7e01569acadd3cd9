//go:build !linux

package supervise

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
)

var errNotHere = errors.New("programs run beside the server on Linux only in this version")

func codeFile([]byte) (*os.File, error) { return nil, errNotHere }

func (p *Child) launch(func() *exec.Cmd, Command) error { return errNotHere }

// alive cannot tell.
func alive(int) bool { return true }

// ownerUser cannot tell.
func ownerUser(fs.FileInfo) (uint32, bool) { return 0, false }

// processesOf cannot tell.
func processesOf(uint32) []int { return nil }

// killUser has nothing to kill.
func killUser(uint32) {}

// sweepMachine has nothing to remove.
func sweepMachine() {}

// Kill kills the process with all of its group, at once.
func (p *Child) Kill() {}
