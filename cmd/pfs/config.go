package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/server"
)

// config is the group of the commands about configuration files.
func (a *app) config() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Look at configuration files of a node", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(a.configValidate())
	return c
}

func (a *app) configValidate() *cobra.Command {
	return &cobra.Command{Use: "validate file...", Short: "Say whether a node would start with a file, and what is wrong with it",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var failed cli.Partial
			for _, file := range args {
				err := server.Validate(file)
				failed.Add(err)
				if err == nil {
					a.Printf("%s: ok\n", file)
					continue
				}
				for i, line := range strings.Split(err.Error(), "\n") {
					if i == 0 {
						line = "pfs: " + line
					}
					if line != "" {
						a.Say("%s", line)
					}
				}
			}
			if failed.Failed() == 0 {
				return nil
			}
			return &cli.Hinted{Code: cli.ExitUsage, Text: "a node would not start", Hint: "pfs-server -print-sample-config shows every key"}
		}}
}
