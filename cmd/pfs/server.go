package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/server"
)

// serverExit is the exit code of a server that failed and said why.
type serverExit int

func (e serverExit) Error() string { return fmt.Sprintf("server: exit code %d", int(e)) }

// server is "pfs server": the same program as pfs-server, with its own flags.
func (a *app) server() *cobra.Command {
	return &cobra.Command{Use: "server [flags]", Short: "Run a node; pfs server -help lists its flags", DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if code := server.Main(cmd.Context(), args, a.stdout, a.stderr); code != 0 {
				return serverExit(code)
			}
			return nil
		}}
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json() {
				return a.encode(map[string]string{"version": server.Version()})
			}
			a.printf("pfs version %s\n", server.Version())
			return nil
		}}
}
