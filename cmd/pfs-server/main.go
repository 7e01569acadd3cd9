// Command pfs-server runs a PFS node; -help lists its flags.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/pfs-project/pfs/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(server.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
