package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
)

// Local returns the file of this machine that an argument names; - is none of them.
// In a shell, whose plain paths are the server's, it has to be marked with "local:".
func (e *Env) Local(arg string) (string, error) {
	if e.Shell == nil || arg == "-" {
		return arg, nil
	}
	p, marked := strings.CutPrefix(arg, "local:")
	if !marked {
		return "", &Hinted{Code: ExitUsage, Text: arg + " is not marked as a file of the local machine", Hint: "write local:" + arg}
	}
	return p, nil
}

// Outside returns an error in a shell, of what runs programs of this machine.
func (e *Env) Outside(what string) error {
	if e.Shell == nil {
		return nil
	}
	return &Hinted{Code: ExitUsage, Text: what + " runs a program of the local machine, which the shell does not do unmarked",
		Hint: "run it outside of the shell, as: !pfs " + what}
}

// Exec runs a command and returns its exit code: of this machine, with the variables
// of server on top (see Environ), or in a shell what the shell has. What cannot be
// started is reported, with 127.
func (e *Env) Exec(ctx context.Context, server, args []string) int {
	if e.Shell != nil {
		return e.Shell(ctx, args)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.in, e.Stdout, e.Stderr
	cmd.Env = append(os.Environ(), server...)
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &ended):
		return max(ended.ExitCode(), 1)
	}
	e.Say("pfs: %v", err)
	return 127
}
