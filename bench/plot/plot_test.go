package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/pfs-project/pfs/bench/load"
)

func figures(name string) Series {
	return Series{Name: name, Figures: []load.Figures{ // in no order
		{Clients: 64, PerSecond: 20_000, P50: 2, P99: 20},
		{Clients: 1, PerSecond: 1000, P50: 0.2, P99: 2},
	}}
}

// A picture is well-formed, its points lie in the frame, and more is higher.
func TestDraw(t *testing.T) {
	for name, draw := range map[string]func(io.Writer, string, []Series) error{"throughput": Throughput, "latency": Latency} {
		var b strings.Builder
		if err := draw(&b, "a <title>", []Series{figures("x & y"), figures("z")}); err != nil {
			t.Fatal(err)
		}
		wellFormed(t, b.String())
		lines := regexp.MustCompile(`points="([\d.]+),([\d.]+) ([\d.]+),([\d.]+)"`).FindAllStringSubmatch(b.String(), -1)
		if want := map[string]int{"throughput": 2, "latency": 4}[name]; len(lines) != want {
			t.Fatalf("%s has %d lines, not %d", name, len(lines), want)
		}
		for _, l := range lines {
			if l[1] != "76.0" || l[3] != "736.0" {
				t.Errorf("%s: from %s to %s", name, l[1], l[3])
			}
			if len(l[2]) < len(l[4]) || len(l[2]) == len(l[4]) && l[2] < l[4] { // y grows downwards
				t.Errorf("%s: more is not higher: %v", name, l)
			}
		}
		if !strings.Contains(b.String(), "x &amp; y") || !strings.Contains(b.String(), ">64<") {
			t.Errorf("%s has no name or no number of clients", name)
		}
	}
}

// Figures without percentiles are left out, and said where there are none else.
func TestNoPercentiles(t *testing.T) {
	few := Series{Name: "few", Figures: []load.Figures{{Clients: 1, PerSecond: 3}}}
	var b strings.Builder
	if err := Latency(&b, "t", []Series{few}); err != nil || !strings.Contains(b.String(), "too few requests") || !strings.Contains(b.String(), "</svg>") {
		t.Errorf("%v: %s", err, b.String())
	}
	b.Reset()
	if err := Latency(&b, "t", []Series{few, figures("many")}); err != nil || strings.Contains(b.String(), "few") || strings.Count(b.String(), "<polyline") != 2 {
		t.Errorf("%v: %s", err, b.String())
	}
}

func TestOneNumber(t *testing.T) {
	s := figures("x")
	s.Figures = s.Figures[:1]
	var b strings.Builder
	if err := Latency(&b, "t", []Series{s}); err != nil || strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
		t.Errorf("%v: %s", err, b.String())
	}
	if err := Latency(&b, "t", nil); err == nil {
		t.Error("nothing is drawn")
	}
	s.Figures[0].PerSecond = math.NaN()
	if err := Throughput(&b, "t", []Series{s}); err == nil {
		t.Error("NaN is drawn")
	}
}

func TestTicks(t *testing.T) {
	for _, most := range []float64{3295, 20_000, 7, 0.4, 46_663, 99} {
		a := linear([]curve{{at: []point{{1, most}}}})
		if n := len(a.ticks); n < 4 || n > 11 || a.place(most) > 1 || a.place(most) < 0.5 {
			t.Errorf("%v stands at %v of ticks %v", most, a.place(most), a.ticks)
		}
	}
	if say(46_000) != "46k" || say(0.2) != "0.2" || say(256) != "256" {
		t.Error(say(46_000), say(0.2), say(256))
	}
}

// wellFormed fails unless s is XML.
func wellFormed(t *testing.T, s string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(s)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// What is better than wanted stands right of 1, what is worse left of it, and twice
// as far is as long either way.
func TestScores(t *testing.T) {
	var b strings.Builder
	if err := Scores(&b, "a <title>", []Score{{Name: "x & y", Note: "2 of 1", Value: 2}, {Name: "z", Value: 0.5, Missed: true}, {Name: "far", Value: 900}}); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, b.String())
	bars := regexp.MustCompile(`<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="16.0" fill="(#\w+)"`).FindAllStringSubmatch(b.String(), -1)
	if len(bars) != 3 {
		t.Fatalf("%d bars: %s", len(bars), b.String())
	}
	if bars[0][1] != "548.0" || bars[1][1] != "474.0" || bars[0][2] != "74.0" || bars[1][2] != "74.0" || bars[0][3] == bars[1][3] {
		t.Errorf("bars: %v", bars)
	}
	if bars[2][2] != "222.0" { // as eight times
		t.Errorf("a bar leaves the picture: %v", bars[2])
	}
}

func TestPercentiles(t *testing.T) {
	times := hdrhistogram.New(1, 60_000_000, 3)
	for i := range int64(100_000) {
		_ = times.RecordValue(1000 + i) // microseconds, in range
	}
	encoded, err := times.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	err = Percentiles(&b, "latency", []Panel{{"PUT", []load.Figures{{Name: "pfs", Histogram: string(encoded)}, {Name: "without", Histogram: ""}}}, {Name: "none"}})
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, b.String())
	if n := strings.Count(b.String(), "<polyline"); n != 1 {
		t.Errorf("%d curves: %s", n, b.String())
	}
	for _, text := range []string{">PUT<", ">pfs<", ">99.99<", ">none<"} {
		if !strings.Contains(b.String(), text) {
			t.Errorf("no %s", text)
		}
	}
}
