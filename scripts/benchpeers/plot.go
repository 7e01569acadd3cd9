package main

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/pfs-project/pfs/bench/load"
)

// Measures of the plots, in pixels.
const (
	width  = 860
	labels = 400 // for text at the left of bars
	row    = 26
	top    = 46
)

// colours of sides, told apart also without colour sight.
func colour(i int) string {
	return []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"}[i%5]
}

// svg is a picture of a height with a title and content.
func svg(height int, title, content string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<title>%s</title>
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="12" y="22" font-size="15">%[3]s</text>
%s</svg>
`, width, height, html.EscapeString(title), content)
}

func text(b *strings.Builder, x, y float64, anchor, s string) {
	fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, html.EscapeString(s))
}

func rule(b *strings.Builder, x1, y1, x2, y2 float64, stroke string) {
	fmt.Fprintf(b, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", x1, y1, x2, y2, stroke)
}

// ratios is a bar for each line of which something was wanted: how far it is
// from that, on a scale on which twice as far is as long either way.
func (p page) ratios() string {
	var b strings.Builder
	y, unit := float64(top), float64(width-labels-90)/5 // from a fourth to eight times
	at := func(score float64) float64 {
		return labels + unit*(2+math.Log2(min(max(score, 0.25), 8)))
	}
	for _, r := range p.Results {
		for _, l := range r.Lines {
			if l.Wanted == 0 {
				continue
			}
			fill := colour(2)
			if l.Reached() == "no" {
				fill = colour(1)
			}
			from, to := min(at(1), at(l.score())), max(at(1), at(l.score()))
			fmt.Fprintf(&b, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", from, y+4, to-from, row-10, fill)
			text(&b, labels-8, y+16, "end", r.Name+": "+l.Ratio.B)
			text(&b, width-12, y+16, "end", fmt.Sprintf("%.2f of %.2f", l.Ratio.Median, l.Wanted))
			y += row
		}
	}
	for _, tick := range []float64{0.25, 0.5, 1, 2, 4, 8} {
		stroke := "#ccc"
		if tick == 1 {
			stroke = "#000"
		}
		rule(&b, at(tick), top, at(tick), y, stroke)
		text(&b, at(tick), y+16, "middle", fmt.Sprintf("%g", tick))
	}
	return svg(int(y)+30, "Measured over wanted; 1 is what was wanted, more is better", b.String())
}

// latencies has a panel for each match of small PUTs at more than one client,
// and in it a curve for each side.
func (p page) latencies() string {
	var b strings.Builder
	y := float64(top)
	for _, r := range p.Results {
		if strings.Contains(r.Name, "PUT") && r.Clients > 1 && len(r.Sides) > 0 {
			panel(&b, y, r)
			y += panelHeight + 60
		}
	}
	return svg(int(y)+10, "Latency by percentile, ms", b.String())
}

// panelHeight is that of the axes of one panel.
const panelHeight = 190

// panel draws the curves of a match's sides: percentiles at the bottom, by the
// number of nines, and milliseconds at the left, by powers of ten.
func panel(b *strings.Builder, y float64, r result) {
	const left, right, nines = 60.0, width - 200.0, 4.0
	x := func(q float64) float64 { return left + (right-left)*-math.Log10(1-q)/nines }
	h := func(ms float64) float64 {
		return y + panelHeight - panelHeight*(math.Log10(min(max(ms, 0.1), 1000))+1)/4
	}
	text(b, left, y-6, "start", fmt.Sprintf("%s, %d clients", r.Name, r.Clients))
	for _, ms := range []float64{0.1, 1, 10, 100, 1000} {
		rule(b, left, h(ms), right, h(ms), "#ccc")
		text(b, left-6, h(ms)+4, "end", fmt.Sprintf("%g", ms))
	}
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 0.9999} {
		rule(b, x(q), y, x(q), y+panelHeight, "#eee")
		text(b, x(q), y+panelHeight+16, "middle", fmt.Sprintf("%g", 100*q))
	}
	for i, f := range r.Sides {
		times, err := load.Latencies(f.Histogram)
		if err != nil {
			continue // figures without a histogram have no curve
		}
		var points []string
		for n := 0.05; n <= nines && float64(times.TotalCount())*math.Pow(10, -n) >= 10; n += 0.05 {
			q := 1 - math.Pow(10, -n)
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(q), h(float64(times.ValueAtQuantile(100*q))/1000)))
		}
		fmt.Fprintf(b, "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"%s\" points=\"%s\"/>\n", colour(i), strings.Join(points, " "))
		fmt.Fprintf(b, "<rect x=\"%.0f\" y=\"%.0f\" width=\"12\" height=\"12\" fill=\"%s\"/>\n", right+16, y+float64(i)*20, colour(i))
		text(b, right+34, y+float64(i)*20+10, "start", f.Name)
	}
}
