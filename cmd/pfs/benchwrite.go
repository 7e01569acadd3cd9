package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/bench"
	"github.com/pfs-project/pfs/cli"
)

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
			return cli.Usage("--clients, --for and --patience must be positive")
		}
		var err error
		if w.URLs, err = a.URLs(); err != nil {
			return err
		}
		if w.Dir == "" {
			w.Dir = "/memfs/bench-" + time.Now().UTC().Format("20060102-150405.000")
		}
		if w.Log = a.Stderr; a.Quiet {
			w.Log = io.Discard
		}
		r, err := w.Run(cmd.Context())
		if err != nil {
			return err
		}
		if a.JSON() {
			err = a.Encode(r)
		} else {
			_, err = fmt.Fprintln(a.Stdout, r)
		}
		if err == nil && !r.Sound() {
			err = fmt.Errorf("acknowledged writes are lost or doubled; the files are left in %s", w.Dir)
		}
		return err
	}
	return c
}
