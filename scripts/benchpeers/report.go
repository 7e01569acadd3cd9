package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"text/template"
	"time"

	"github.com/pfs-project/pfs/bench"
	"github.com/pfs-project/pfs/bench/load"
	"github.com/pfs-project/pfs/bench/target"
)

// page is all that one run measured.
type page struct {
	Began   time.Time     `json:"began"`
	Took    time.Duration `json:"took_ns"`
	Options bench.Options `json:"options"`
	Machine bench.Machine `json:"machine"`
	Servers []server      `json:"servers"`
	Results []result      `json:"results"`
}

// server is one that took part.
type server struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	Durability string `json:"durability"`
}

// result is a match and what came of it.
type result struct {
	Name    string         `json:"name"`
	Clients int            `json:"clients"`
	Sides   []load.Figures `json:"sides,omitempty"`
	Lines   []line         `json:"lines,omitempty"`
	Figures []figure       `json:"figures,omitempty"` // of one node alone
	Error   string         `json:"error,omitempty"`   // why there are no figures
}

// line is one ratio and what was wanted of it.
type line struct {
	Wanted  float64    `json:"wanted,omitempty"` // 0: nothing was promised
	Latency bool       `json:"latency,omitempty"`
	Ratio   load.Ratio `json:"ratio"`
}

// met notes a server that takes part.
func (p *page) met(t target.Target) {
	s := server{t.Name, t.Version, t.Durability}
	if !slices.Contains(p.Servers, s) {
		p.Servers = append(p.Servers, s)
	}
}

// add notes a result, and says it.
func (p *page) add(r result, out io.Writer) {
	p.Results = append(p.Results, r)
	for i := range r.Lines {
		fmt.Fprintln(out, r.say(i))
	}
	for _, f := range r.Figures {
		if f.Wanted > 0 { // the others were said as they came
			fmt.Fprintf(out, "%s: %s: %s; wanted: %s\n", r.Name, f.Name, f, f.Want())
		}
	}
	if r.Error != "" {
		fmt.Fprintf(out, "%s: no number: %s\n", r.Name, r.Error)
	}
}

// Want is what was wanted in words.
func (l line) Want() string {
	switch {
	case l.Wanted == 0:
		return "-"
	case l.Latency:
		return fmt.Sprintf("at most %.2f", l.Wanted)
	}
	return fmt.Sprintf("at least %.2f", l.Wanted)
}

// Reached says whether it is as wanted.
func (l line) Reached() string {
	switch {
	case l.Wanted == 0:
		return "-"
	case l.Latency == (l.Ratio.Median <= l.Wanted) || l.Ratio.Median == l.Wanted:
		return "yes"
	}
	return "no"
}

// score is how far it is from what was wanted; 1: just there, more is better.
func (l line) score() float64 {
	if l.Latency {
		return l.Wanted / l.Ratio.Median
	}
	return l.Ratio.Median / l.Wanted
}

func (r result) say(i int) string {
	return fmt.Sprintf("%s: %s; wanted: %s", r.Name, r.Lines[i].Ratio, r.Lines[i].Want())
}

// rate is how many a second, or for large files how many bytes.
func rate(f load.Figures) string {
	if f.PerSecond < 100 && f.MBs > 1 {
		return fmt.Sprintf("%.0f MB/s", f.MBs)
	}
	return fmt.Sprintf("%.0f/s", f.PerSecond)
}

// ms is a latency; "-" where there were too few requests to tell it.
func ms(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", v)
}

// used is the processor time of client and servers for each request, in
// microseconds, and the servers' most memory in MiB, with sep between them.
func used(f load.Figures, sep string) string {
	return fmt.Sprintf("%.0f%s%.0f%s%d", f.ClientCPU, sep, f.ServerCPU, sep, f.ServerPeak>>20)
}

// print writes a table for a terminal.
func (p page) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nwhat\tclients\tover\twanted\tmeasured\tof rounds\treached")
	for _, r := range p.Results {
		for _, l := range r.Lines {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%.2f\t%.2f to %.2f\t%s\n", r.Name, r.Clients, l.Ratio.B, l.Want(), l.Ratio.Median, l.Ratio.Min, l.Ratio.Max, l.Reached())
		}
		for _, f := range r.Figures {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t-\t%s\n", r.Name, r.Clients, f.Name, f.Want(), f, f.Reached())
		}
		if r.Error != "" {
			fmt.Fprintf(t, "%s\t%d\t-\t-\tno number\t-\tno\n", r.Name, r.Clients)
		}
	}
	fmt.Fprintln(t, "\nwhat\tclients\tside\trate\tp50 ms\tp99 ms\trequests\terrors\tclient us\tserver us\tpeak MiB")
	for _, r := range p.Results {
		for _, f := range r.Sides {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", r.Name, f.Clients, f.Name, rate(f), ms(f.P50), ms(f.P99), f.Requests, f.Errors, used(f, "\t"))
		}
	}
	_ = t.Flush() // the terminal may have gone
}

//go:embed page.md
var form string

// write writes the page and its plots beside it, named for it.
func (p page) write(name string) error {
	stem := strings.TrimSuffix(name, ".md")
	if err := p.draw(stem); err != nil {
		return err
	}
	t, err := template.New("page").Funcs(template.FuncMap{"rate": rate, "ms": ms,
		"used": func(f load.Figures) string { return used(f, " | ") },
		"plot": func(kind string) string { return filepath.Base(stem) + "-" + kind + ".svg" },
		"mib":  func(n int64) int64 { return n >> 20 }}).Parse(form)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}
