package shell

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"mvdan.cc/sh/v3/interp"
)

// help lists the commands, or describes one.
func (s *Shell) help(ctx context.Context, hc interp.HandlerContext, io stdio, args []string) error {
	if len(args) > 0 {
		if s.names[args[0]] != nil {
			return status(s.verb(ctx, hc, io, []string{args[0], "--help"}))
		}
		if interp.IsBuiltin(args[0]) {
			return hc.Builtin(ctx, []string{"help", args[0]})
		}
		return status(s.notFound(io.err, args[0]))
	}
	var out strings.Builder
	out.WriteString("Commands of pfs, on files of the server (help COMMAND tells more):\n")
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, name := range s.Names() {
		if c := s.names[name]; c != nil && c.Name() == name {
			fmt.Fprintf(w, "  %s\t%s\n", name, c.Short)
		}
	}
	_ = w.Flush() // to memory
	out.WriteString(`
The language is that of POSIX shells and most of bash: cd, echo, printf, read,
test, set, trap, export, local, source, functions, loops, pipes, redirections.
local:PATH is a file of the local machine, !COMMAND one of its programs.
exit, or Ctrl-D, leaves.
`)
	return write(io, out.String())
}
