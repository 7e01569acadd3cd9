package main

import (
	"context"
	"io"

	"github.com/pfs-project/pfs/server"
)

// runServer is "pfs server": the same program as pfs-server.
func runServer(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return server.Main(ctx, args, stdout, stderr)
}
