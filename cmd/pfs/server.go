package main

import (
	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/server"
)

// server is "pfs server": the same program as pfs-server, with its own flags.
func (a *app) server() *cobra.Command {
	return &cobra.Command{Use: "server [flags]", Short: "Run a node; pfs server -help lists its flags", DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if code := server.Main(cmd.Context(), args, a.Stdout, a.Stderr); code != 0 {
				return cli.Exit(code)
			}
			return nil
		}}
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.JSON() {
				return a.Encode(map[string]string{"version": server.Version()})
			}
			a.Printf("pfs version %s\n", server.Version())
			return nil
		}}
}
