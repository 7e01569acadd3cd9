package cli

import (
	"context"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completeTime is for how long a completion may wait for a node.
const completeTime = 300 * time.Millisecond

// Complete returns the paths on the server that begin as begun does, as a command line
// writes them: directories with a slash, and no names that could steer a terminal. What
// takes longer than 300 ms gives none.
func (e *Env) Complete(ctx context.Context, begun string) []string {
	all, err := e.Clients()
	if err != nil {
		return nil
	}
	defer all[0].Close()
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	dir, name := path.Split(begun)
	at := e.Remote(dir)
	if dir == "" {
		at = e.Dir
	}
	var out []string
	for i, err := range all[0].Entries(ctx, at) {
		if err != nil {
			return nil
		}
		if !strings.HasPrefix(i.Name, name) || name == "" && strings.HasPrefix(i.Name, ".") || Plain(i.Name) != i.Name {
			continue
		}
		full := dir + i.Name
		if i.IsDir {
			full += "/"
		}
		out = append(out, full)
	}
	return out
}

// CompletePath completes paths on the server in a shell of the machine.
func (e *Env) CompletePath(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	if strings.HasPrefix(begun, "local:") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return e.Complete(cmd.Context(), begun), cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}
