package plot

import (
	"io"
	"math"
)

// Score is how far something is from what was wanted of it.
type Score struct {
	Name   string
	Note   string  // what was measured and wanted, as text
	Value  float64 // 1: just there; more is better
	Missed bool
}

// The measures of a bar, in pixels.
const (
	barLabel = 400
	barNote  = 90
	barRow   = 26
)

// Scores draws a bar for each, from a fourth to eight times what was wanted, on a
// scale on which twice as far is as long either way.
func Scores(w io.Writer, title string, all []Score) error {
	const wide, most = 860, 5 // doublings that there is place for
	var s sheet
	at := func(v float64) float64 {
		return barLabel + (wide-barLabel-barNote)/most*(2+math.Log2(min(max(v, 0.25), 8)))
	}
	y := float64(top)
	for _, c := range all {
		fill := colour(2)
		if c.Missed {
			fill = colour(1)
		}
		from, to := min(at(1), at(c.Value)), max(at(1), at(c.Value))
		s.box(from, y+4, to-from, barRow-10, fill)
		s.text(barLabel-8, y+16, "end", c.Name)
		s.text(wide-12, y+16, "end", c.Note)
		y += barRow
	}
	for _, tick := range []float64{0.25, 0.5, 1, 2, 4, 8} {
		stroke := grid
		if tick == 1 {
			stroke = ink
		}
		s.rule(at(tick), top, at(tick), y, stroke)
		s.text(at(tick), y+16, "middle", say(tick))
	}
	return s.writeTo(w, wide, int(y)+30, title)
}
