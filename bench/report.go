package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Report is what one run measured.
type Report struct {
	Version string   `json:"version"`
	Sync    float64  `json:"disk_sync_ms"` // median time of a 4 KiB write and fsync
	Runs    []Result `json:"runs"`
}

// Result is what one cluster measured.
type Result struct {
	Nodes int       `json:"nodes"`
	Small []Figures `json:"small"`
	In    float64   `json:"large_in_mb_s"` // 10^6 bytes a second
	Out   float64   `json:"large_out_mb_s"`
	// Follower is set for clusters that have one.
	Follower *FollowerReads `json:"follower_reads,omitempty"`
	Packing  float64        `json:"packing"` // writes/s at the most clients over writes/s at one
}

// Print writes the report as a table.
func (r Report) Print(w io.Writer) error {
	fmt.Fprintf(w, "PFS %s; a 4 KiB write and fsync takes %.2f ms here\n", r.Version, r.Sync)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, run := range r.Runs {
		fmt.Fprintf(t, "\nnodes\tload\tclients\tper s\tp50 ms\tp99 ms\tentries/PUT\tfsyncs/PUT\t\n")
		for _, f := range run.Small {
			fmt.Fprintf(t, "%d\t%s\t%d\t%.0f\t%.2f\t%.2f\t%s\t%s\t\n", run.Nodes, f.Name, f.Clients,
				f.PerSecond, f.P50, f.P99, orNone(f.Entries), orNone(f.Syncs))
		}
		if f := run.Follower; f != nil {
			for _, g := range []Figures{f.Local, f.Linearizable} {
				fmt.Fprintf(t, "%d\t%s\t%d\t%.0f\t%.2f\t%.2f\t\t\t\n", run.Nodes, g.Name, g.Clients, g.PerSecond, g.P50, g.P99)
			}
			fmt.Fprintf(t, "%d\tlinearizable/local\t\t%.2fx\t\t\t\t\t\n", run.Nodes, f.Ratio)
		}
		fmt.Fprintf(t, "%d\tlarge file in\t1\t%.0f MB/s\t\t\t\t\t\n", run.Nodes, run.In)
		fmt.Fprintf(t, "%d\tlarge file out\t1\t%.0f MB/s\t\t\t\t\t\n", run.Nodes, run.Out)
		fmt.Fprintf(t, "%d\tpacking\t\t%.1fx\t\t\t\t\t\n", run.Nodes, run.Packing)
	}
	return t.Flush()
}

func orNone(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", v)
}
