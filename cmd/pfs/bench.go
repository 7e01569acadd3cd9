package main

import (
	"fmt"
	"io"
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
	c.AddCommand(a.benchWrite())
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

func (a *app) benchWrite() *cobra.Command {
	var w bench.WriteCheck
	c := &cobra.Command{Use: "write", Short: "Write to a running cluster and check that nothing is lost", Args: cobra.NoArgs,
		Long: `Many clients append numbered lines through all nodes of --url for a while, each
line under an idempotency key and tried again until it is acknowledged. Kill
nodes meanwhile. At the end every line is read back through every node that
answers: exit code 1 if one that was acknowledged is missing or there twice.`,
		Example: "  pfs --url localhost:8081,localhost:8082,localhost:8083 bench write --clients 32 --for 30s"}
	c.Flags().IntVar(&w.Clients, "clients", 32, "number of clients")
	c.Flags().DurationVar(&w.For, "for", 10*time.Second, "length of the load")
	c.Flags().DurationVar(&w.Patience, "patience", 30*time.Second, "give up on one write after this time")
	c.Flags().StringVar(&w.Dir, "dir", "", "directory to make and write in (default /memfs/bench-<time>)")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if w.Clients < 1 || w.For <= 0 || w.Patience <= 0 {
			return usage("--clients, --for and --patience must be positive")
		}
		var err error
		if w.URLs, err = a.urls(); err != nil {
			return err
		}
		if w.Dir == "" {
			w.Dir = "/memfs/bench-" + time.Now().UTC().Format("20060102-150405.000")
		}
		if w.Log = a.stderr; a.quiet {
			w.Log = io.Discard
		}
		r, err := w.Run(cmd.Context())
		if err != nil {
			return err
		}
		if a.json() {
			err = a.encode(r)
		} else {
			_, err = fmt.Fprintln(a.stdout, r)
		}
		if err == nil && !r.Sound() {
			err = fmt.Errorf("acknowledged writes are lost or doubled; the files are left in %s", w.Dir)
		}
		return err
	}
	return c
}
