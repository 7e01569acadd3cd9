// Package plot draws figures of loads: over numbers of clients, by percentile, and
// against what was wanted. It makes SVG that any browser shows and that has no
// parts outside its file.
package plot

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/pfs-project/pfs/bench/load"
)

// Series is one load at several numbers of clients, in any order.
type Series struct {
	Name    string
	Figures []load.Figures
}

// The size of a picture and of the frame in it, in pixels.
const (
	width, height = 760, 440
	left, right   = 76, 24
	top, bottom   = 44, 52
	line          = 17 // of the legend
)

// curve is one line of a picture.
type curve struct {
	name   string
	colour string
	dashed bool
	at     []point
}

type point struct{ x, y float64 }

// Throughput draws requests a second, from 0 up.
func Throughput(w io.Writer, title string, all []Series) error {
	var c []curve
	for i, s := range all {
		c = append(c, newCurve(s, s.Name, i, false, func(f load.Figures) float64 { return f.PerSecond }))
	}
	return draw(w, title, "requests a second", c, linear(c))
}

// Latency draws the median and, dashed, the 99th percentile, by orders of
// magnitude, of the loads that have them.
func Latency(w io.Writer, title string, all []Series) error {
	var c []curve
	for i, s := range all {
		c = append(c, newCurve(s, s.Name+", p50", i, false, func(f load.Figures) float64 { return f.P50 }))
		c = append(c, newCurve(s, s.Name+", p99", i, true, func(f load.Figures) float64 { return f.P99 }))
	}
	// Loads with too few requests have no percentiles.
	for i := range c {
		c[i].at = slices.DeleteFunc(c[i].at, func(p point) bool { return p.y == 0 })
	}
	c = slices.DeleteFunc(c, func(c curve) bool { return len(c.at) == 0 })
	if len(all) > 0 && len(c) == 0 {
		var empty sheet
		empty.text(20, top, "start", "too few requests for percentiles")
		return empty.writeTo(w, width, top+20, title)
	}
	return draw(w, title, "milliseconds", c, magnitudes(c))
}

func newCurve(s Series, name string, i int, dashed bool, of func(load.Figures) float64) curve {
	c := curve{name: name, colour: colour(i), dashed: dashed}
	for _, f := range s.Figures {
		c.at = append(c.at, point{float64(f.Clients), of(f)})
	}
	slices.SortFunc(c.at, func(a, b point) int { return int(a.x - b.x) })
	return c
}

// axis places values between 0 and 1, and has ticks.
type axis struct {
	place func(v float64) float64
	ticks []float64
}

// linear is an axis from 0 to above all values, with some five ticks.
func linear(all []curve) axis {
	_, most := extent(all, func(p point) float64 { return p.y })
	step := math.Pow(10, math.Floor(math.Log10(max(most, 1e-9)/4)))
	for _, m := range []float64{5, 2} {
		if most/(step*m) >= 4 {
			step *= m
			break
		}
	}
	end := step * math.Ceil(max(most, step)/step)
	a := axis{place: func(v float64) float64 { return v / end }}
	for v := 0.0; v <= end*1.001; v += step {
		a.ticks = append(a.ticks, v)
	}
	return a
}

// magnitudes is an axis of logarithms around all values, with ticks at 1, 2 and 5
// of each decade. What no clock saw stands at a microsecond.
func magnitudes(all []curve) axis {
	const least = 0.001
	lo, hi := extent(all, func(p point) float64 { return max(p.y, least) })
	lo, hi = lo/1.5, hi*1.5
	a := axis{place: func(v float64) float64 { return math.Log(max(v, least)/lo) / math.Log(hi/lo) }}
	for d := math.Floor(math.Log10(lo)); d <= math.Log10(hi); d++ {
		for _, m := range []float64{1, 2, 5} {
			if v := m * math.Pow(10, d); v >= lo && v <= hi {
				a.ticks = append(a.ticks, v)
			}
		}
	}
	return a
}

// clients is the axis of numbers of clients, with a tick at each.
func clients(all []curve) axis {
	lo, hi := extent(all, func(p point) float64 { return p.x })
	if lo == hi {
		lo, hi = lo/2, hi*2 // one number has no extent of its own
	}
	a := axis{place: func(v float64) float64 { return math.Log(v/lo) / math.Log(hi/lo) }}
	for _, c := range all {
		for _, p := range c.at {
			a.ticks = append(a.ticks, p.x)
		}
	}
	slices.Sort(a.ticks)
	a.ticks = slices.Compact(a.ticks)
	return a
}

func extent(all []curve, of func(point) float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, c := range all {
		for _, p := range c.at {
			lo, hi = min(lo, of(p)), max(hi, of(p))
		}
	}
	return lo, hi
}

// draw writes the picture. A legend of many lines stands below the frame, where
// it hides no line.
func draw(w io.Writer, title, unit string, all []curve, y axis) error {
	for _, c := range all {
		for _, p := range c.at {
			if p.x < 1 || math.IsNaN(p.y) || math.IsInf(p.y, 0) || p.y < 0 {
				return fmt.Errorf("%s has no place for %v at %v clients", title, p.y, p.x)
			}
		}
	}
	if len(all) == 0 || len(all[0].at) == 0 {
		return fmt.Errorf("%s has no figures", title)
	}
	x := clients(all)
	px := func(v float64) float64 { return left + x.place(v)*(width-left-right) }
	py := func(v float64) float64 { return height - bottom - y.place(v)*(height-top-bottom) }
	var b sheet
	for _, v := range y.ticks {
		b.rule(left, py(v), width-right, py(v), grid)
		b.text(left-8, py(v)+4, "end", say(v))
	}
	for _, v := range x.ticks {
		b.rule(px(v), height-bottom, px(v), height-bottom+5, ink)
		b.text(px(v), height-bottom+19, "middle", say(v))
	}
	b.rule(left, top, left, height-bottom, ink)
	b.rule(left, height-bottom, width-right, height-bottom, ink)
	b.text((left+width-right)/2, height-12, "middle", "clients")
	b.upright(16, height/2, unit)
	for i, c := range all {
		c.draw(&b, px, py, float64(height+line*i+10))
	}
	return b.writeTo(w, width, height+line*len(all)+10, title)
}

// draw writes a line with its points, and its row of the legend.
func (c curve) draw(b *sheet, px, py func(float64) float64, row float64) {
	path := make([]point, len(c.at))
	for i, p := range c.at {
		path[i] = point{px(p.x), py(p.y)}
		b.dot(path[i], c.colour)
	}
	b.line(path, c.colour, c.dashed)
	b.sample(left, row, c.colour, c.dashed)
	b.text(left+36, row+4, "start", c.name)
}

// say is a number as people write it.
func say(v float64) string {
	if v >= 10_000 {
		return strconv.FormatFloat(v/1000, 'g', 6, 64) + "k"
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}
