package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/bench"
	"github.com/pfs-project/pfs/server"
)

func (a *app) bench() *cobra.Command {
	b := bench.Config{Version: server.Version()}
	c := &cobra.Command{Use: "bench", Short: "Measure clusters that it starts on this machine", Args: cobra.NoArgs,
		Long: `Starts clusters of real processes on loopback, below the working directory,
measures small durable writes, small reads and one large file, and stops them.
The load runs on the same machine and takes its share of the processors.`}
	c.Flags().IntSliceVar(&b.Nodes, "nodes", []int{1, 3}, "sizes of the clusters")
	c.Flags().IntSliceVar(&b.Clients, "clients", []int{1, 32, 256}, "numbers of clients")
	c.Flags().DurationVar(&b.For, "for", 4*time.Second, "length of each small load")
	c.Flags().Int64Var(&b.Large, "large", 512<<20, "size of the large file in bytes")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		if len(b.Clients) == 0 || len(b.Nodes) == 0 {
			return usage("--clients and --nodes must not be empty")
		}
		b.Program, b.Log = program, a.stderr
		r, err := bench.Run(cmd.Context(), b)
		if err != nil {
			return err
		}
		if a.json() {
			return a.encode(r)
		}
		return r.Print(a.stdout)
	}
	return c
}
