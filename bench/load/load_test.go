package load

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// run does s on a clock of its own.
func run(t *testing.T, s Spec) (Figures, error) {
	t.Helper()
	var f Figures
	var err error
	synctest.Test(t, func(t *testing.T) { f, err = s.Run(t.Context()) })
	return f, err
}

func near(a, b float64) bool { return math.Abs(a-b) <= 0.002*b }

func TestClosedLoop(t *testing.T) {
	// One request of ten takes 10 ms, the others 1 ms: 19 ms for ten.
	f, err := run(t, Spec{Name: "x", Clients: 4, Warm: time.Second, For: 19 * time.Second, Bytes: 1000,
		Op: func(_ context.Context, _, i int) error {
			d := time.Millisecond
			if i%10 == 9 {
				d = 10 * time.Millisecond
			}
			time.Sleep(d)
			return nil
		}})
	if err != nil || f.Errors != 0 || !near(float64(f.Requests), 40_000) || !near(f.PerSecond, 40/0.019) || !near(f.MBs, 40/0.019/1000) {
		t.Errorf("%v, %d requests, %v a second, %v MB/s", err, f.Requests, f.PerSecond, f.MBs)
	}
	if !near(f.P50, 1) || !near(f.P99, 10) || !near(f.Max, 10) {
		t.Errorf("p50 %v p90 %v p99 %v max %v", f.P50, f.P90, f.P99, f.Max)
	}
	h, err := Latencies(f.Histogram)
	if err != nil || h.TotalCount() != f.Requests || !near(float64(h.ValueAtQuantile(99)), 10_000) {
		t.Errorf("the histogram does not come back: %v", err)
	}
}

// A server that stands still for a second shows in a hundredth of the requests
// of 100 seconds, though only one of them was under way.
func TestCoordinatedOmission(t *testing.T) {
	stall := func(begun time.Time) Op {
		return func(context.Context, int, int) error {
			if at := time.Since(begun); at >= 50*time.Second && at < 51*time.Second {
				time.Sleep(51*time.Second - at)
			}
			time.Sleep(time.Millisecond / 2)
			return nil
		}
	}
	s := Spec{Name: "x", Clients: 1, For: 100 * time.Second, Rate: 100}
	var open, closed Figures
	synctest.Test(t, func(t *testing.T) {
		s.Op = stall(time.Now())
		open, _ = s.Run(t.Context())
		s.Rate, s.Op = 0, stall(time.Now())
		closed, _ = s.Run(t.Context())
	})
	if open.Requests != 10_000 || open.P999 < 850 || open.P999 > 950 || !near(open.PerSecond, 100) {
		t.Errorf("open: %d requests, p99.9 %v ms, %v a second", open.Requests, open.P999, open.PerSecond)
	}
	if closed.P999 > 1 || closed.Max < 900 {
		t.Errorf("closed: p99.9 %v, max %v ms", closed.P999, closed.Max)
	}
}

// What an open loop could not send in its time is not forgotten.
func TestOverload(t *testing.T) {
	f, err := run(t, Spec{Name: "x", Clients: 2, For: 10 * time.Second, Rate: 100,
		Op: func(context.Context, int, int) error { time.Sleep(100 * time.Millisecond); return nil }})
	if err != nil || f.Requests+f.Missed != 1000 || !near(f.PerSecond, 20) || f.P99 < 5000 {
		t.Errorf("%v: %d and %d missed, %v a second, p99 %v", err, f.Requests, f.Missed, f.PerSecond, f.P99)
	}
}

// A request that takes longer than the whole load counts all the same.
func TestLongRequests(t *testing.T) {
	f, err := run(t, Spec{Name: "x", Clients: 2, Warm: time.Second, For: time.Second,
		Op: func(context.Context, int, int) error { time.Sleep(10 * time.Second); return nil }})
	// Each sends one in the warm-up, and one at second 10 that ends at second 20.
	if err != nil || f.Requests != 2 || !near(f.PerSecond, 2/10.0) || !near(f.Max, 10_000) {
		t.Errorf("%+v, %v", f, err)
	}
}

// However the end of the warm-up and that of the load cut the requests, the rate
// is the one at which a client sends them.
func TestRateOfWholeRequests(t *testing.T) {
	for _, d := range []time.Duration{30, 130, 290, 300, 370, 700, 990} {
		d *= time.Millisecond
		f, err := run(t, Spec{Name: "x", Clients: 3, Warm: 100 * time.Millisecond, For: time.Second,
			Op: func(context.Context, int, int) error { time.Sleep(d); return nil }})
		if err != nil || !near(f.PerSecond, 3/d.Seconds()) {
			t.Errorf("%s: %v, %v a second, not %v", d, err, f.PerSecond, 3/d.Seconds())
		}
	}
}

// A request that fails takes its time, and the rate is that of answers.
func TestRateWithErrors(t *testing.T) {
	f, err := run(t, Spec{Name: "x", Clients: 2, For: time.Second, Op: func(_ context.Context, _, i int) error {
		time.Sleep(400 * time.Millisecond)
		if i == 2 {
			return errors.New("refused")
		}
		return nil
	}})
	if err != nil || f.Requests != 4 || !near(f.PerSecond, 4/1.2) {
		t.Errorf("%d, %v, %v", f.Requests, f.PerSecond, err)
	}
}

// What a load used is divided by all that it sent, the warm-up too.
func TestUsage(t *testing.T) {
	var used Usage
	f, err := run(t, Spec{Name: "x", Clients: 1, Warm: time.Second, For: time.Second, Usage: func() Usage { return used },
		Op: func(context.Context, int, int) error {
			time.Sleep(time.Millisecond)
			used.Client, used.Server, used.Peak = used.Client+3*time.Microsecond, used.Server+7*time.Microsecond, used.Peak+1
			return nil
		}})
	if err != nil || !near(f.ClientCPU, 3) || !near(f.ServerCPU, 7) || f.ServerPeak != 2000 {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err = run(t, Spec{Name: "x", Clients: 1, For: time.Second, Op: func(context.Context, int, int) error { time.Sleep(time.Millisecond); return nil }}); err != nil || f.ClientCPU != 0 {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestErrors(t *testing.T) {
	bad := errors.New("refused")
	f, err := run(t, Spec{Name: "x", Clients: 1, For: time.Second, Op: func(_ context.Context, _, i int) error {
		time.Sleep(10 * time.Millisecond)
		if i%2 == 1 {
			return bad
		}
		return nil
	}})
	if err != nil || f.Errors == 0 || f.Requests < 30 || f.Error != "refused" {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := run(t, Spec{Name: "x", Clients: 1, For: time.Second, Op: func(context.Context, int, int) error { return bad }}); !errors.Is(err, bad) {
		t.Errorf("all fail: %v", err)
	}
	if _, err := (Spec{Name: "x", For: time.Second}).Run(t.Context()); err == nil {
		t.Error("a load without clients runs")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Spec{Name: "x", Clients: 3, For: time.Hour, Rate: 1, Op: func(context.Context, int, int) error { return nil }}).Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}

// The sides take turns in ABBA order, and a machine that grows slower and slower
// does not change their ratio.
func TestPair(t *testing.T) {
	var order string
	side := func(name string, each time.Duration) Spec {
		return Spec{Name: name, Clients: 1, For: time.Second, Op: func(_ context.Context, _, i int) error {
			if i == 0 {
				order += name
			}
			time.Sleep(each * time.Duration(1+len(order)/2))
			return nil
		}}
	}
	var r Ratio
	synctest.Test(t, func(t *testing.T) {
		var err error
		if r, err = Pair(t.Context(), 4, side("a", time.Millisecond), side("b", 3*time.Millisecond)); err != nil {
			t.Error(err)
		}
		seen := 0
		between := func(context.Context) error { seen++; time.Sleep(time.Hour); return nil }
		c, err := Versus(t.Context(), 3, between, side("", time.Millisecond), side("", time.Millisecond))
		if err != nil || seen != 6 || c.Sides[0].PerSecond < 90 {
			t.Errorf("%d pauses for 6 turns: %+v, %v", seen, c, err)
		}
		bad := errors.New("no pause")
		if _, err := Versus(t.Context(), 1, func(context.Context) error { return bad }, Spec{}, Spec{}); !errors.Is(err, bad) {
			t.Error(err)
		}
	})
	if order != "abbaabba" || len(r.Rounds) != 4 || r.Median < 2.5 || r.Median > 4.5 || r.Min > r.Median || r.Max < r.Median {
		t.Errorf("%s: %s", order, r)
	}
	if _, err := Versus(t.Context(), 1, nil, Spec{}); err == nil {
		t.Error("one side is compared")
	}
}

// A side that refuses more than a thousandth in one turn, whichever, is not
// compared.
func TestPairWithErrors(t *testing.T) {
	for _, c := range []struct {
		every int // request of the second turn fails
		good  bool
	}{{2000, true}, {100, false}, {2, false}} {
		synctest.Test(t, func(t *testing.T) {
			turn := 0
			good := Spec{Name: "good", Clients: 1, For: 10 * time.Second, Op: func(context.Context, int, int) error { time.Sleep(time.Millisecond); return nil }}
			odd := good
			odd.Name, odd.Op = "odd", func(_ context.Context, _, i int) error {
				if i == 0 {
					turn++
				}
				time.Sleep(time.Millisecond)
				if turn == 2 && i%c.every == c.every-1 {
					return errors.New("too much")
				}
				return nil
			}
			all, err := Versus(t.Context(), 3, nil, good, odd)
			if (err == nil) != c.good || err != nil && !strings.Contains(err.Error(), "odd") {
				t.Errorf("one of %d fails: %v", c.every, err)
			}
			if err == nil && all.Sides[1].Errors == 0 {
				t.Errorf("the errors are in no figure: %+v", all.Sides[1])
			}
		})
	}
}

// A percentile of few latencies is none, and that of all turns is of all of them.
func TestFewLatencies(t *testing.T) {
	for _, c := range []struct{ n, percentiles int }{{19, 0}, {20, 1}, {99, 1}, {100, 2}, {999, 2}, {1000, 3}, {9999, 3}, {10_000, 4}} {
		op := func(d time.Duration) Spec {
			return Spec{Name: "x", Clients: 1, For: time.Duration(c.n) * d, Op: func(context.Context, int, int) error { time.Sleep(d); return nil }}
		}
		f, err := run(t, op(time.Millisecond))
		slow, err2 := run(t, op(3*time.Millisecond))
		if err != nil || err2 != nil || f.Requests != int64(c.n) {
			t.Fatal(f, err, err2)
		}
		for i, p := range []float64{f.P50, f.P90, f.P99, f.P999} {
			if near(p, 1) != (i < c.percentiles) {
				t.Errorf("%d latencies: percentile %d is %v", c.n, i, p)
			}
		}
		if both := Together([]Figures{f, slow}); both.Requests != int64(2*c.n) || c.n >= 50 && !near(both.P90, 3) || both.Max < 2.9 || c.n >= 10 && !near(both.P50, 1) {
			t.Errorf("both turns: %+v", both)
		}
	}
}

func TestTogether(t *testing.T) {
	var turns []Figures
	for _, v := range []float64{5, 1, 4, 2} {
		turns = append(turns, Figures{PerSecond: v, Requests: 10, Errors: int64(v)})
	}
	if m := Together(turns); m.PerSecond != 2 || m.Requests != 40 || m.Errors != 12 {
		t.Errorf("%+v", m)
	}
	r := ratio(turns, []Figures{{PerSecond: 1}, {PerSecond: 1}, {PerSecond: 1}, {PerSecond: 2}})
	if r.Median != 2.5 || r.Min != 1 || r.Max != 5 {
		t.Error(r)
	}
}
