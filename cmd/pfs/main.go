// Command pfs reads and changes a PFS tree from a shell, and runs a server.
//
// Data goes to stdout, everything else to stderr. Exit codes are stable and
// listed by "pfs help exit-codes".
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run does what args say and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	out := &output{w: stdout}
	a := &app{stdin: stdin, stdout: out, stderr: &lines{w: stderr}, tty: terminal(stderr)}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(out)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil && out.err != nil {
		err, a.started = out.err, true // the command was right; what it printed is lost
	}
	var server serverExit
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &server):
		return int(server)
	case ctx.Err() != nil:
		return exitInterrupted
	case !a.started:
		err = usageError{err}
	}
	return a.report(cmd, err)
}
