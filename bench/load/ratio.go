package load

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Ratio is what one side did for each request of the other, by requests a
// second. The sides took turns, and each round gave a ratio of its own, so what
// slows the machine for a while slows both.
type Ratio struct {
	A       string    `json:"a"`
	B       string    `json:"b"`
	Clients int       `json:"clients"` // of a
	Rounds  []float64 `json:"rounds"`  // a over b
	Median  float64   `json:"median"`
	Min     float64   `json:"min"`
	Max     float64   `json:"max"`
}

// String is the ratio as a table shows it.
func (r Ratio) String() string {
	return fmt.Sprintf("%s / %s, %d clients: %.2f (%.2f to %.2f in %d rounds)", r.A, r.B, r.Clients, r.Median, r.Min, r.Max, len(r.Rounds))
}

// Comparison is several sides measured in turns.
type Comparison struct {
	Sides  []Figures `json:"sides"`  // Together of each side's turns
	Ratios []Ratio   `json:"ratios"` // of the first side over each other one
}

// Pair compares a with b: the two take turns in the order ABBA, for rounds
// rounds of one turn each.
func Pair(ctx context.Context, rounds int, a, b Spec) (Ratio, error) {
	c, err := Versus(ctx, rounds, nil, a, b)
	if err != nil {
		return Ratio{}, err
	}
	return c.Ratios[0], nil
}

// tolerated is the share of a turn's requests that may fail, in a comparison: a
// side that refuses work is asked for less than the other.
const tolerated = 0.001

// compared is an error if f is no turn to compare.
func (f Figures) compared() error {
	switch {
	case f.Requests == 0:
		return fmt.Errorf("load %s: no request was answered in time: nothing to compare", f.Name)
	case float64(f.Errors) > tolerated*float64(f.Requests+f.Errors):
		return fmt.Errorf("load %s: %d requests failed beside %d answered, more than %g%%: nothing to compare: %s",
			f.Name, f.Errors, f.Requests, 100*tolerated, f.Error)
	}
	return nil
}

// Versus compares the first of two or more sides with each other one. The sides
// take turns, forwards in even rounds and backwards in odd ones. A turn of which
// more than a thousandth failed is an error. Before each turn it calls between,
// which is not measured; nil does nothing.
func Versus(ctx context.Context, rounds int, between func(context.Context) error, sides ...Spec) (Comparison, error) {
	if rounds < 1 || len(sides) < 2 {
		return Comparison{}, fmt.Errorf("a comparison wants a round and two sides, not %d and %d", rounds, len(sides))
	}
	turns := make([][]Figures, len(sides))
	for round := range rounds {
		for k := range sides {
			if round%2 == 1 {
				k = len(sides) - 1 - k
			}
			f, err := sides[k].turn(ctx, between)
			if err != nil {
				return Comparison{}, err
			}
			turns[k] = append(turns[k], f)
		}
	}
	var c Comparison
	for k := range sides {
		if k > 0 {
			c.Ratios = append(c.Ratios, ratio(turns[0], turns[k]))
		}
	}
	for _, t := range turns {
		c.Sides = append(c.Sides, Together(t))
	}
	return c, nil
}

func (s Spec) turn(ctx context.Context, between func(context.Context) error) (Figures, error) {
	if between != nil {
		if err := between(ctx); err != nil {
			return Figures{}, err
		}
	}
	f, err := s.Run(ctx)
	if err == nil {
		err = f.compared()
	}
	return f, err
}

// Together is several turns as one: it has the rate of the turn with the median
// rate (of an even number the lower of the two), and the latencies, requests and
// errors of all. There must be one at least.
func Together(turns []Figures) Figures {
	s := slices.SortedFunc(slices.Values(turns), func(a, b Figures) int { return cmp.Compare(a.PerSecond, b.PerSecond) })
	f := s[(len(s)-1)/2]
	f.Requests, f.Errors, f.Missed, f.Error = 0, 0, 0, ""
	all := hdrhistogram.New(1, longest, digits)
	for _, t := range turns {
		if h, err := Latencies(t.Histogram); err == nil { // figures made elsewhere may have none
			all.Merge(h)
		}
		f.Requests, f.Errors, f.Missed = f.Requests+t.Requests, f.Errors+t.Errors, f.Missed+t.Missed
		f.Error, f.ServerPeak = cmp.Or(f.Error, t.Error), max(f.ServerPeak, t.ServerPeak)
	}
	f.took(all)
	return f
}

func ratio(a, b []Figures) Ratio {
	r := Ratio{A: a[0].Name, B: b[0].Name, Clients: a[0].Clients}
	for i := range a {
		r.Rounds = append(r.Rounds, a[i].PerSecond/b[i].PerSecond)
	}
	s := slices.Sorted(slices.Values(r.Rounds))
	r.Min, r.Max = s[0], s[len(s)-1]
	r.Median = (s[(len(s)-1)/2] + s[len(s)/2]) / 2
	return r
}
