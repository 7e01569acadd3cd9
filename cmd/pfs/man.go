package main

import (
	"bytes"
	"os"
	"os/exec"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/server"
)

func (a *app) man() *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "man [command…]", Short: "Show the manual page of a command",
		Long: `Shows the manual page of a command: on a terminal in man, else as it is, in troff. With
--dir all pages are written there, for the manual of the machine.`,
		Example: "  pfs man queue | head -3\n  pfs man --dir /usr/local/share/man/man1"}
	c.Flags().StringVar(&dir, "dir", "", "write all pages into this `DIRECTORY`")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		root := cmd.Root()
		root.DisableAutoGenTag = true
		header := &doc.GenManHeader{Section: "1", Source: "PFS " + server.Version(), Manual: "PFS"}
		if dir != "" {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			return doc.GenManTree(root, header, dir)
		}
		of, rest, err := root.Find(args)
		if err != nil || len(rest) > 0 {
			return cli.Usage("there is no command %q", args)
		}
		var page bytes.Buffer
		if err := doc.GenMan(of, header, &page); err != nil {
			return err
		}
		if man, err := exec.LookPath("man"); err == nil && cli.Terminal(os.Stdout) && a.TTY && a.Shell == nil {
			show := exec.CommandContext(cmd.Context(), man, "-l", "-")
			show.Stdin, show.Stdout, show.Stderr = &page, os.Stdout, os.Stderr
			return show.Run()
		}
		_, err = page.WriteTo(a.Stdout)
		return err
	}
	return c
}
