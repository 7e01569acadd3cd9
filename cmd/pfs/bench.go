package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/bench"
	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/server"
)

// runFlags are those of pfs bench that bench.Config has no field for.
type runFlags struct {
	list         bool
	size         string
	large, state string
	report, plot string
}

func (a *app) bench() *cobra.Command {
	b := bench.Config{Version: server.Version()}
	var f runFlags
	c := &cobra.Command{Use: "bench [WORKLOAD...]", Short: "Measure clusters that it starts here, or a server by --url",
		Long: `Starts clusters of real processes on loopback, with their data below the working
directory, measures each WORKLOAD on them and stops them; with --url it measures
that server as it is, PFS or any other of the compatible API. The load runs on
this machine, too, and takes its share of the processors.

Without a WORKLOAD it measures the few that matter in about a minute. A load is
closed (each client waits for its answer) unless --rate makes it open: then
requests are due at fixed times, and a latency counts from the time it was due.
What a load wrote is read back; if anything that was acknowledged is missing
there are no figures, and the exit code is 1. docs/bench.md tells more.`,
		Example: `  pfs bench --list
  pfs bench put get --clients 1,16 --nodes 1 --for 200ms --plot plots
  pfs bench put --rate 500 --clients 8 --nodes 1 --for 200ms --report put.json`}
	fl := c.Flags()
	fl.BoolVar(&f.list, "list", false, "show the workloads and end")
	fl.IntSliceVar(&b.Nodes, "nodes", []int{1, 3}, "sizes of the clusters to start")
	fl.IntSliceVar(&b.Clients, "clients", nil, "numbers of clients (default 1,64,256; 1 for large files)")
	fl.DurationVar(&b.For, "for", 2*time.Second, "length of each load")
	fl.DurationVar(&b.Warm, "warm", 300*time.Millisecond, "time before each load that does not count")
	fl.IntVar(&b.Rounds, "rounds", 1, "turns of each load; the median one is shown")
	fl.Float64Var(&b.Rate, "rate", 0, "requests a second over all clients, open loop; 0: closed")
	fl.StringVar(&f.size, "size", "256", "size of a small value")
	fl.IntVar(&b.Keys, "keys", 10_000, "keys that small reads choose from")
	fl.IntSliceVar(&b.Counts, "counts", []int{10_000, 100_000}, "numbers of keys for scale, rising")
	fl.IntVar(&b.Entries, "entries", 100_000, "entries of the directory of dir")
	fl.IntVar(&b.Mounts, "mounts", 1000, "mounts of mounts")
	fl.StringVar(&f.large, "large", "128MiB", "size of a large file")
	fl.StringVar(&f.state, "state", "64MiB", "state that recovery restarts with")
	fl.DurationVar(&b.Idle, "idle", 10*time.Second, "time with nothing to do of footprint")
	fl.IntVar(&b.Connections, "connections", 10_000, "connections that footprint holds open")
	fl.StringVar(&b.Dir, "data-dir", ".", "where clusters that are started keep their data while they run")
	fl.StringVar(&b.Server.Files, "files", "/memfs", "with --url: directory to work below")
	fl.StringVar(&b.Server.Queue, "queues", "/queuefs", "with --url: directory to make a queue in")
	fl.StringVar(&f.report, "report", "", "write the report to this file as JSON, with histograms")
	fl.StringVar(&f.plot, "plot", "", "write plots to this directory as SVG")
	c.AddCommand(a.benchWrite())
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if f.list {
			return a.workloads()
		}
		b.Workloads, b.Log = args, a.Stderr
		if a.Quiet {
			b.Log = io.Discard
		}
		if err := a.benchConfig(cmd, &b, f); err != nil {
			return err
		}
		r, err := bench.Run(cmd.Context(), b)
		lost := errors.Is(err, bench.ErrLost)
		if cmd.Context().Err() != nil {
			err = errors.New("the run was ended; its nodes are stopped, and no file is written")
			f = runFlags{}
		}
		if len(r.Results) > 0 && !lost {
			err = errors.Join(err, a.benchReport(r, f))
		}
		return err
	}
	return c
}

// benchConfig completes b by the flags, and refuses what cannot be measured.
func (a *app) benchConfig(cmd *cobra.Command, b *bench.Config, f runFlags) error {
	var err error
	if b.Program, err = os.Executable(); err != nil {
		return err
	}
	small, err := cli.Size(f.size)
	if err != nil || small < 16 || small > 1<<20 {
		return cli.Usage("--size is from 16 bytes to 1 MiB")
	}
	b.Size = int(small)
	if b.Large, err = cli.Size(f.large); err != nil {
		return cli.UsageError{Err: err}
	}
	if b.State, err = cli.Size(f.state); err != nil {
		return cli.UsageError{Err: err}
	}
	for name, n := range map[string]int{"--rounds": b.Rounds, "--keys": b.Keys, "--entries": b.Entries, "--mounts": b.Mounts, "--large": int(b.Large), "--state": int(b.State), "--for": int(b.For), "--connections": b.Connections} {
		if n < 1 {
			return cli.Usage("%s must be at least 1", name)
		}
	}
	for name, list := range map[string][]int{"--nodes": b.Nodes, "--clients": b.Clients, "--counts": b.Counts} {
		for _, n := range list {
			if n < 1 {
				return cli.Usage("%s has numbers of 1 or more", name)
			}
		}
	}
	if !cmd.Flags().Changed("url") && !cmd.Flags().Changed("context") {
		return nil
	}
	s, err := a.ServerNow()
	if err != nil {
		return err
	}
	config, err := s.Config()
	b.Server.URLs, b.Server.Token, b.Server.TLS = bench.Bases(config.URLs), config.Token, config.TLS
	return err
}

func (a *app) workloads() error {
	all := bench.Workloads()
	if a.JSON() {
		type line struct {
			Name  string `json:"name"`
			Doc   string `json:"doc"`
			Quick bool   `json:"quick"`
		}
		out := make([]line, len(all))
		for i, w := range all {
			out[i] = line{w.Name, w.Doc, w.Quick}
		}
		return a.Encode(out)
	}
	t := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	for _, w := range all {
		mark := " "
		if w.Quick {
			mark = "*"
		}
		fmt.Fprintf(t, "%s %s\t%s\n", mark, w.Name, w.Doc)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.Stdout, "* runs when none is named")
	return err
}

// benchReport writes the report everywhere it was asked for.
func (a *app) benchReport(r bench.Report, f runFlags) error {
	if f.report != "" {
		b, err := json.MarshalIndent(r, "", " ")
		if err == nil {
			err = os.WriteFile(f.report, append(b, '\n'), 0o644)
		}
		if err != nil {
			return err
		}
	}
	if f.plot != "" {
		if err := r.Plot(f.plot); err != nil {
			return err
		}
	}
	if a.JSON() {
		return a.Encode(r)
	}
	return r.Print(a.Stdout)
}
