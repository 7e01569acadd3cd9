package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) cp() *cobra.Command {
	k := copier{app: a}
	c := &cobra.Command{Use: "cp source destination", Short: "Copy files between the server and this machine", Args: cobra.ExactArgs(2),
		SuggestFor: []string{"copy", "sync"},
		Long: `Copies a file, or with -r a directory, into the destination if that is a
directory, or else to that name.

A local path is written local:PATH, or plain when the other side is pfs:PATH;
- is stdin or stdout. Two plain paths are both on the server. Symbolic links
are copied as links. Of the mode the execute bits are kept. Devices, pipes and
files that command something, such as those of a queue, are left out. What
fails is reported and the rest is copied. With several nodes in --url the files
are spread over them.`,
		Example: "  pfs cp -r local:./src /memfs/src\n  pfs cp -r ./src pfs:/memfs/src\n  pfs cp -r pfs:/memfs/src .\n  pfs cp /memfs/a /memfs/b"}
	c.Flags().BoolVarP(&k.recursive, "recursive", "r", false, "directories and all below them")
	c.Flags().IntVarP(&k.jobs, "jobs", "j", 16, "files at a time")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if k.jobs < 1 || k.jobs > 256 {
			return usage("--jobs %d is not between 1 and 256", k.jobs)
		}
		src, dst := side(args[0]), side(args[1])
		if src.local && dst.local {
			return usage("both sides are local; that is what cp is for")
		}
		if !src.local && !dst.local && src.marked != dst.marked {
			src.local, dst.local = !src.marked, !dst.marked
		}
		ctx, cancel := a.context(cmd)
		defer cancel()
		var err error
		if k.clients, err = a.clients(); err != nil {
			return err
		}
		switch {
		case src.local:
			return k.in(ctx, src.path, dst.path)
		case dst.local:
			return k.out(ctx, src.path, dst.path)
		}
		return k.within(ctx, src.path, dst.path)
	}
	return c
}

// end of a copy: on this machine, or on the server.
type end struct {
	path          string
	local, marked bool // marked: it says so that it is the server's
}

func side(arg string) end {
	if p, ok := strings.CutPrefix(arg, "local:"); ok || arg == "-" {
		return end{path: p, local: true}
	}
	p, ok := strings.CutPrefix(arg, "pfs:")
	return end{path: p, marked: ok}
}
