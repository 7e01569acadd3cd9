package bench

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/pfs-project/pfs/bench/load"
	"github.com/pfs-project/pfs/bench/plot"
)

// Plot writes two pictures of each workload into dir, which it makes:
// WORKLOAD-throughput.svg and WORKLOAD-latency.svg. Each target, number of nodes
// and load has a line of its own.
func (r Report) Plot(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var names []string
	series := map[string][]plot.Series{}
	for _, res := range r.Results {
		if !slices.Contains(names, res.Workload) {
			names = append(names, res.Workload)
		}
		series[res.Workload] = append(series[res.Workload], lines(res)...)
	}
	for _, name := range names {
		if len(series[name]) == 0 {
			continue // it has facts alone
		}
		for kind, draw := range map[string]func(io.Writer, string, []plot.Series) error{"throughput": plot.Throughput, "latency": plot.Latency} {
			var out bytes.Buffer
			if err := draw(&out, name+": "+kind, series[name]); err != nil {
				return fmt.Errorf("plot of %s: %w", name, err)
			}
			if err := os.WriteFile(filepath.Join(dir, name+"-"+kind+".svg"), out.Bytes(), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// lines are the loads of a result by name, in the order they were measured.
func lines(res Result) []plot.Series {
	var names []string
	by := map[string][]load.Figures{}
	for _, f := range res.Loads {
		if !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
		by[f.Name] = append(by[f.Name], f)
	}
	var out []plot.Series
	for _, name := range names {
		label := res.Target + ", " + count(res.Nodes, "node")
		if name != res.Workload {
			label = name + ", " + label
		}
		out = append(out, plot.Series{Name: label, Figures: by[name]})
	}
	return out
}
