package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/bench/calls"
	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/vfs"
)

// measured is what "pfs plugin bench" answers for one plugin.
type measured struct {
	Plugin string `json:"plugin"`
	Path   string `json:"path"`
	Kind   string `json:"kind"`
	*calls.Report
}

// benchFlags are those of "pfs plugin bench".
type benchFlags struct {
	artefactFlags
	each    time.Duration
	size    string
	profile string
}

func (a *app) pluginBench() *cobra.Command {
	var f benchFlags
	c := &cobra.Command{Use: "bench file…", Short: "Measure what a call of a plugin costs", Args: cobra.MinimumNArgs(1),
		Long: `Runs each plugin as a server runs it, with the same limits, and measures stat, list,
reading and writing 4 KiB, then a large file, beside memfs, which is built in and does
the same work in the same run: rounds of both alternate. "added" is what it costs at
the median that the plugin is from outside; what this machine takes for a question to
another process that asks nothing follows. A file that is too long for a plugin is
halved until it is not, and goes as often as it takes for as many bytes. What a plugin
cannot do is left out and said. No server is needed; the API, the log and the network
are not in it.
It writes to the plugin: give it settings of a place that may be changed.`,
		Example: "  pfs plugin bench build/notes.so\n  pfs plugin bench --size 64MB --for 200ms build/*.so notes.wasm\n" +
			"  pfs plugin bench --memory 1GB notes.wasm --json",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx, cancel := a.Context(cmd)
			defer cancel()
			if f.profile != "" {
				end, err := startProfile(f.profile)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, end()) }()
			}
			all := []measured{}
			for _, path := range args {
				m, err := a.benchOne(ctx, &f, path)
				if err != nil {
					return err
				}
				if all = append(all, m); !f.asJSON && !a.JSON() {
					if len(all) > 1 {
						a.Printf("\n")
					}
					if err := a.printMeasured(m); err != nil {
						return err
					}
				}
			}
			if f.asJSON || a.JSON() {
				return a.Encode(all)
			}
			return nil
		}}
	f.add(c)
	c.Flags().DurationVar(&f.each, "for", time.Second, "length of each kind of call, on each side")
	c.Flags().StringVar(&f.size, "size", "256MB", "size of the large file; 0 writes none")
	c.Flags().StringVar(&f.profile, "cpuprofile", "", "write a profile of this program into a file, for go tool pprof")
	return c
}

// startProfile writes down where the processors are until it is ended.
func startProfile(name string) (end func() error, err error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// stageTime is how long one kind of call may be measured, on both sides, and a large
// file be written or read, before the plugin counts as one that hangs.
func stageTime(each time.Duration, size int64) time.Duration {
	const slow = 1 << 20 // bytes a second
	return lawTime + 8*each + time.Duration(size/slow)*time.Second
}

// benchOne measures one plugin.
func (a *app) benchOne(ctx context.Context, f *benchFlags, path string) (measured, error) {
	size, err := vfs.ParseSize(f.size)
	if err != nil || f.each <= 0 {
		return measured{}, cli.Usage("--size must be a size as 256MB, and --for more than 0")
	}
	p, err := a.openArtefact(ctx, &f.artefactFlags, path)
	if err != nil {
		return measured{}, err
	}
	defer p.close()
	d, err := p.mount(ctx, vfs.Env{Chunks: noChunks{}})
	if err != nil {
		return measured{}, a.failed(p, fmt.Errorf("it does not start: %w", err))
	}
	began, limit := time.Now(), stageTime(f.each, size)
	late := time.NewTimer(limit)
	var stage atomic.Value
	stage.Store("what it has")
	var r *calls.Report
	ended, err := p.within(ctx, late, func() error {
		var err error
		r, err = calls.Run(ctx, calls.Config{Device: d, Verbs: p.lib.Verbs, For: f.each, Size: size, Tell: func(what string) {
			late.Reset(limit)
			stage.Store(what)
			a.progressLine(true, "%s: %s, %.0f s …", p.lib.Name, what, time.Since(began).Seconds())
		}})
		return errors.Join(err, closeMount(d))
	})
	a.progressLine(true, "")
	switch {
	case ctx.Err() != nil:
		return measured{}, ctx.Err()
	case !ended:
		return measured{}, a.failed(p, fmt.Errorf("%v: %w", stage.Load(), err))
	case err != nil:
		return measured{}, a.failed(p, err)
	}
	return measured{Plugin: p.lib.Name, Path: path, Kind: p.lib.Kind, Report: r}, nil
}

// noChunks has none: the code of the plugin is with it.
type noChunks struct{}

// ReadChunk fails.
func (noChunks) ReadChunk(context.Context, vfs.ChunkRef, []byte, int64) error { return vfs.Internal }

// printMeasured prints a table.
func (a *app) printMeasured(m measured) error {
	a.Printf("%s, %s, beside memfs\n", cli.Plain(m.Plugin), kindText(vfs.Library{Kind: m.Kind}))
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "µs\tp50\tp99\tmemfs p50\tp99\tadded\tratio\t")
	for _, c := range m.Costs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%+.1f\t%.1f\t\n", c.Call, micros(c.P50), micros(c.P99), micros(c.BuiltinP50), micros(c.BuiltinP99), c.Added, c.Ratio)
	}
	if len(m.Rates) > 0 {
		fmt.Fprintln(w, "\t\t\t\t\t\t\t")
		fmt.Fprintln(w, "MB/s\t\t\tmemfs\t\t\tratio\t")
	}
	for _, r := range m.Rates {
		fmt.Fprintf(w, "%s\t%.0f\t\t%.0f\t\t\t%.2f\t\n", r.What, r.MBs, r.Builtin, r.Ratio)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, f := range m.Floors {
		a.Printf("%s, on this machine: %s µs, p99 %s\n", f.What, micros(f.P50), micros(f.P99))
	}
	for _, n := range m.Notes {
		a.Printf("%s\n", shortened(cli.Plain(n)))
	}
	return nil
}

// micros is a number of microseconds for people.
func micros(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}
