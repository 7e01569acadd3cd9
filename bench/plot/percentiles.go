package plot

import (
	"io"
	"math"

	"github.com/pfs-project/pfs/bench/load"
)

// Panel is one load of several sides, each of which has a histogram.
type Panel struct {
	Name  string
	Sides []load.Figures
}

// The measures of a panel's axes, in pixels, and how far they go.
const (
	panelWide   = 600
	panelHigh   = 190
	panelLegend = 200
	nines       = 4
)

// Percentiles draws a panel below the other: latencies at the left, from 0.1 ms to
// a second by powers of ten, and percentiles at the bottom, by the number of nines.
// A side without a histogram has no curve.
func Percentiles(w io.Writer, title string, panels []Panel) error {
	var s sheet
	y := float64(top)
	for _, p := range panels {
		p.draw(&s, y)
		y += panelHigh + 60
	}
	return s.writeTo(w, left+panelWide+panelLegend, int(y)+10, title)
}

func (p Panel) draw(s *sheet, y float64) {
	const end = left + panelWide
	across := func(q float64) float64 { return left + panelWide*-math.Log10(1-q)/nines }
	up := func(ms float64) float64 {
		return y + panelHigh - panelHigh*(math.Log10(min(max(ms, 0.1), 1000))+1)/4
	}
	s.text(left, y-6, "start", p.Name)
	for _, ms := range []float64{0.1, 1, 10, 100, 1000} {
		s.rule(left, up(ms), end, up(ms), grid)
		s.text(left-6, up(ms)+4, "end", say(ms))
	}
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 0.9999} {
		s.rule(across(q), y, across(q), y+panelHigh, grid)
		s.text(across(q), y+panelHigh+16, "middle", say(100*q))
	}
	for i, f := range p.Sides {
		times, err := load.Latencies(f.Histogram)
		if err != nil {
			continue
		}
		var curve []point
		for n := 0.05; n <= nines && float64(times.TotalCount())*math.Pow(10, -n) >= 10; n += 0.05 {
			q := 1 - math.Pow(10, -n)
			curve = append(curve, point{across(q), up(float64(times.ValueAtQuantile(100*q)) / 1000)})
		}
		s.line(curve, colour(i), false)
		s.box(end+16, y+float64(i)*20, 12, 12, colour(i))
		s.text(end+34, y+float64(i)*20+10, "start", f.Name)
	}
}
