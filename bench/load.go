package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Load is one kind of request, repeated by many clients.
type Load struct {
	Name    string
	Method  string
	URL     func(client, i int) string // of client's i-th request
	Body    []byte
	Clients int
	For     time.Duration
}

// Figures are what a Load measured.
type Figures struct {
	Name      string  `json:"name"`
	Clients   int     `json:"clients"`
	Requests  int     `json:"requests"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	// Per write, where the node's metrics tell; 0 otherwise.
	Entries float64 `json:"entries_per_write,omitempty"` // raft entries
	Syncs   float64 `json:"fsyncs_per_write,omitempty"`  // of the log, on the leader
}

// Run does the load until its time is over or ctx ends. Any answer other than
// 200 or 206 ends it with an error.
func (l Load) Run(ctx context.Context) (Figures, error) {
	ctx, cancel := context.WithTimeout(ctx, l.For)
	defer cancel()
	hc := &fasthttp.Client{MaxConnsPerHost: l.Clients + 8, NoDefaultUserAgentHeader: true,
		ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second}
	defer hc.CloseIdleConnections()
	times := make([][]time.Duration, l.Clients)
	errs := make([]error, l.Clients)
	begun := time.Now()
	var wg sync.WaitGroup
	for c := range l.Clients {
		wg.Go(func() { times[c], errs[c] = l.client(ctx, hc, c) })
	}
	wg.Wait()
	took := time.Since(begun)
	return l.figures(slices.Concat(times...), took), errors.Join(errs...)
}

// client sends one client's requests and returns how long each took.
func (l Load) client(ctx context.Context, hc *fasthttp.Client, c int) ([]time.Duration, error) {
	var times []time.Duration
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	for i := 0; ctx.Err() == nil; i++ {
		req.Header.SetMethod(l.Method)
		req.SetRequestURI(l.URL(c, i))
		req.SetBodyRaw(l.Body)
		at := time.Now()
		if err := hc.Do(req, resp); err != nil {
			return times, fmt.Errorf("%s: %w", l.Name, err)
		}
		times = append(times, time.Since(at))
		if s := resp.StatusCode(); s != 200 && s != 206 {
			return times, fmt.Errorf("%s: status %d: %.200s", l.Name, s, resp.Body())
		}
	}
	return times, nil
}

func (l Load) figures(all []time.Duration, took time.Duration) Figures {
	slices.Sort(all)
	at := func(q float64) float64 {
		if len(all) == 0 {
			return 0
		}
		return float64(all[min(len(all)-1, int(q*float64(len(all))))].Microseconds()) / 1000
	}
	return Figures{Name: l.Name, Clients: l.Clients, Requests: len(all),
		PerSecond: float64(len(all)) / took.Seconds(), P50: at(0.50), P99: at(0.99)}
}
