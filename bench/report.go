package bench

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/pfs-project/pfs/bench/load"
)

// Report is what one run measured.
type Report struct {
	Version string    `json:"version"` // of what measured
	Began   time.Time `json:"began"`
	Machine Machine   `json:"machine"`
	Results []Result  `json:"results"`
}

// Result is what one workload measured on one target.
type Result struct {
	Workload   string         `json:"workload"`
	Target     string         `json:"target"`
	Version    string         `json:"version"`
	Durability string         `json:"durability"` // what an acknowledgement means
	Nodes      int            `json:"nodes"`
	Loads      []load.Figures `json:"loads,omitempty"`
	Ratios     []load.Ratio   `json:"ratios,omitempty"`
	Facts      []Fact         `json:"facts,omitempty"`
}

// Fact is a figure that is no load, such as the time of a restart.
type Fact struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// Print writes the report for people.
func (r Report) Print(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "PFS %s, %s: %d cores (%s), %s, kernel %s\n", r.Version, r.Began.Format(time.DateTime+" MST"), m.Cores, m.Model, m.OS, m.Kernel)
	fmt.Fprintf(w, "disk here: %s; a 4 KiB write and fsync takes %s ms, p99 %s ms; in place and fdatasync %s ms, p99 %s ms; load before the run %s\n",
		m.Filesystem, number3(m.SyncP50), number3(m.SyncP99), number3(m.DataP50), number3(m.DataP99), m.Load)
	said := map[string]bool{}
	for _, res := range r.Results {
		if line := fmt.Sprintf("%s %s: a write is acknowledged when it is %s\n", res.Target, res.Version, res.Durability); !said[line] {
			said[line] = true
			fmt.Fprint(w, line)
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\nnodes\tload\tclients\trequests\tper s\tMB/s\tp50 ms\tp90 ms\tp99 ms\tp99.9 ms\tmax ms\terrors\tclient us\tserver us\tpeak MiB\t\n")
	for _, res := range r.Results {
		for _, f := range res.Loads {
			fmt.Fprintf(t, "%d\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t\n", res.Nodes, f.Name, f.Clients, f.Requests, number3(f.PerSecond), number3(f.MBs),
				number3(f.P50), number3(f.P90), number3(f.P99), number3(f.P999), number3(f.Max), f.Errors+f.Missed,
				number3(f.ClientCPU), number3(f.ServerCPU), number3(float64(f.ServerPeak)/(1<<20)))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, res := range r.Results {
		for _, v := range res.Ratios {
			fmt.Fprintf(w, "%s, %s: %s\n", res.Workload, count(res.Nodes, "node"), v)
		}
		for _, f := range res.Facts {
			fmt.Fprintf(w, "%s, %s: %s: %s %s\n", res.Workload, count(res.Nodes, "node"), f.Name, number3(f.Value), f.Unit)
		}
	}
	return nil
}

// number3 shows three digits that matter, and all before the point; "-" for 0.
func number3(v float64) string {
	if v == 0 {
		return "-"
	}
	after := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', min(max(after, 0), 4), 64)
}
