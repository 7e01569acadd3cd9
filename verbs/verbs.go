// Package verbs are the commands on files, queues and mounts: what a terminal, a
// script and the shell of pfs call alike.
package verbs

import (
	"bufio"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
)

// app is one run of one command.
type app struct {
	*cli.Env
	answers *bufio.Reader // what was read of stdin for agreed
}

// All returns the commands, each to be run once, in e.
func All(e *cli.Env) []*cobra.Command {
	a := &app{Env: e}
	all := []*cobra.Command{a.ls(), a.cat(), a.stat(), a.mkdir(), a.rm(), a.mv(), a.put(), a.get(), a.cp(),
		a.tree(), a.readlink(), a.find(), a.grep(), a.head(), a.wc(), a.du(), a.df(), a.digest(), a.fsgrep(), a.diff(),
		a.sync(), a.rmdir(), a.ln(), a.touch(), a.truncate(), a.chmod(), a.write(), a.upload(), a.download(), a.edit(),
		a.mount(), a.unmount(), a.mounts(),
		a.tail(), a.watch(), a.queue(), a.kv(), a.stream(),
	}
	for _, c := range all {
		if c.ValidArgsFunction == nil && !c.HasSubCommands() {
			c.ValidArgsFunction = e.CompletePath
		}
	}
	return all
}
