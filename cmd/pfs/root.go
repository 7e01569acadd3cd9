package main

import (
	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/server"
	"github.com/pfs-project/pfs/verbs"
)

// app is one run of the program.
type app struct{ *cli.Env }

func (a *app) root() *cobra.Command {
	c := &cobra.Command{
		Use:   "pfs",
		Short: "Every service is a file: read and change a PFS tree",
		Long: `pfs reads and changes the tree of a PFS server, and runs one.

  pfs server                         start one durable node in ./pfs-data
  echo hi | pfs put - /memfs/hi      write a file from stdin
  pfs cat /memfs/hi                  read it
  pfs cp -r local:./docs /memfs/docs copy a directory in

The server is named by --url or PFS_URL; several nodes of one cluster may be
given, separated by commas. What is printed is for people, or with -o json for
programs; "pfs help exit-codes" tells what the exit codes mean.`,
		Version: server.Version(),
	}
	a.Flags(c)
	c.AddCommand(verbs.All(a.Env)...)
	c.AddCommand(more(a.Env)...)
	c.AddCommand(a.server(), a.sh(), a.mcp())
	return c
}

// more are the commands besides those on files, and besides those that start
// something of their own: what the shell has, too.
func more(e *cli.Env) []*cobra.Command {
	a := &app{e}
	all := []*cobra.Command{a.plugin(), a.cluster(), a.debug(), a.bench(), a.config(), a.contexts(), a.clusterDoctor(), a.man(), a.probe(), a.version(), cli.ExitCodes()}
	for _, c := range all {
		annotate(c, c.Name(), localFiles())
	}
	return all
}

// localFiles says what of the local machine the commands of more touch, by the words
// that name it; see cli.LocalFiles. What pfs keeps for itself, as the contexts, is
// not among it.
func localFiles() map[string]string {
	return map[string]string{
		"bench": cli.LocalProgram, "bench write": "",
		"cluster backup": "0", "cluster restore": "0", "cluster init-certs": "--dir --ca", "cluster recover": "--data-dir",
		"cluster add": "", "cluster doctor": "", "cluster demote": "", "cluster promote": "", "cluster remove": "", "cluster snapshot": "",
		"cluster status": "", "cluster transfer": "", "cluster verify": "", "doctor": "", "probe": "", "version": "",
		"config validate": "*", "debug log-dump": "--data-dir", "man": "--dir",
		"context add": "--token-file --cacert --cert --key", "context list": "", "context remove": "", "context use": "",
		"plugin bench": "* --cpuprofile", "plugin new": "1", "plugin test": "0 --scripts",
		"plugin load": "", // local: is the mark that it has everywhere
		"plugin list": "", "plugin unload": "",
	}
}

func annotate(c *cobra.Command, path string, with map[string]string) {
	if words := with[path]; words != "" {
		c.Annotations = map[string]string{cli.LocalFiles: words}
	}
	for _, sub := range c.Commands() {
		annotate(sub, path+" "+sub.Name(), with)
	}
}
