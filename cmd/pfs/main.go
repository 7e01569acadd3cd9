// Command pfs reads and changes a PFS tree from a shell, and runs a server.
//
// Data goes to stdout, everything else to stderr. Exit codes are stable and
// listed by "pfs help exit-codes".
package main

import (
	"context"
	"io"
	"os"

	"github.com/pfs-project/pfs/cli"
)

func main() {
	ctx, stop := cli.Signalled(context.Background())
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run does what args say and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{cli.New(stdin, stdout, stderr)}
	return a.Run(ctx, a.root(), args)
}
