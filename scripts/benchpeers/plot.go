package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/pfs-project/pfs/bench/plot"
)

// draw writes the plots of the page, each named for stem.
func (p page) draw(stem string) error {
	var ratios, latency bytes.Buffer
	return errors.Join(
		plot.Scores(&ratios, "Measured over wanted; 1 is what was wanted, more is better", p.scores()),
		plot.Percentiles(&latency, "Latency by percentile, ms", p.panels()),
		os.WriteFile(stem+"-ratios.svg", ratios.Bytes(), 0o644),
		os.WriteFile(stem+"-latency.svg", latency.Bytes(), 0o644))
}

// scores are the lines of which something was wanted.
func (p page) scores() (out []plot.Score) {
	for _, r := range p.Results {
		for _, l := range r.Lines {
			if l.Wanted != 0 {
				out = append(out, plot.Score{Name: r.Name + ": " + l.Ratio.B, Note: fmt.Sprintf("%.2f of %.2f", l.Ratio.Median, l.Wanted),
					Value: l.score(), Missed: l.Reached() == "no"})
			}
		}
	}
	return out
}

// panels are the matches of small PUTs at more than one client.
func (p page) panels() (out []plot.Panel) {
	for _, r := range p.Results {
		if strings.Contains(r.Name, "PUT") && r.Clients > 1 && len(r.Sides) > 0 {
			out = append(out, plot.Panel{Name: fmt.Sprintf("%s, %d clients", r.Name, r.Clients), Sides: r.Sides})
		}
	}
	return out
}
