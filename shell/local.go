package shell

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"

	"github.com/pfs-project/pfs/cli"
)

const exitNoProgram = 126

// localCommand runs a program of the local machine, in the directory that pfs was
// started in and with the variables of the shell; those of its own place, such as
// HOME, are those that pfs was started with.
func (s *Shell) localCommand(ctx context.Context, hc interp.HandlerContext, io stdio, name string, args []string) int {
	cmd := exec.CommandContext(ctx, name, args...)
	if name == "" || errors.Is(cmd.Err, exec.ErrNotFound) {
		say(io.err, "pfs: local:%s: not found on the local machine", name)
		return exitNotFound
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = io.in, plainFile(io.out), plainFile(io.err)
	cmd.Env = s.localEnv(hc)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 2 * time.Second
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return cli.ExitOK
	case errors.As(err, &ended) && ended.ExitCode() >= 0:
		return ended.ExitCode()
	case errors.As(err, &ended):
		return 128 + signalOf(ended)
	}
	say(io.err, "pfs: local:%s: %s", name, cli.Explain(err))
	return exitNoProgram
}

// plainFile hands a program a file itself, not what watches it.
func plainFile(w io.Writer) io.Writer {
	switch o := w.(type) {
	case *watched:
		return o.file()
	case *tells:
		return o.w
	}
	return w
}

// localEnv are the variables for a program of the local machine.
func (s *Shell) localEnv(hc interp.HandlerContext) []string {
	var env []string
	for _, kv := range s.environ {
		if name, _, _ := strings.Cut(kv, "="); strings.Contains(hidden, " "+name+" ") {
			env = append(env, kv)
		}
	}
	hc.Env.Each(func(name string, v expand.Variable) bool {
		if v.Exported && v.Kind == expand.String && !strings.Contains(hidden, " "+name+" ") {
			env = append(env, name+"="+v.String())
		}
		return true
	})
	return env
}
