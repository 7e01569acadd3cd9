package load

import (
	"errors"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Figures are what a load measured, in one turn or in several (Together).
type Figures struct {
	Name      string  `json:"name"`
	Clients   int     `json:"clients"`
	Rate      float64 `json:"rate,omitempty"` // asked for, of an open loop
	Requests  int64   `json:"requests"`       // that were answered
	Errors    int64   `json:"errors"`         // that were not; they are in no other figure
	Error     string  `json:"first_error,omitempty"`
	Missed    int64   `json:"missed,omitempty"` // due in an open loop and not sent by its end; their wait is a latency
	PerSecond float64 `json:"per_second"`
	MBs       float64 `json:"mb_s,omitempty"` // 10^6 bytes of payload a second
	// A percentile is 0 if fewer than ten latencies lie above it: they would be
	// chance. So p50 needs 20, p90 100, p99 1,000 and p99.9 10,000.
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p99_9_ms"`
	Max  float64 `json:"max_ms"`
	// Processor time for each request that was sent, in microseconds, and the most
	// memory that the servers held since they began; 0 where nobody can tell.
	ClientCPU  float64 `json:"client_cpu_us,omitempty"`
	ServerCPU  float64 `json:"server_cpu_us,omitempty"`
	ServerPeak int64   `json:"server_peak_bytes,omitempty"`
	// Histogram has all latencies in microseconds, in the compressed form of HDR
	// histograms (V2, base64), which their tools and Latencies read.
	Histogram string `json:"histogram,omitempty"`
}

// Latencies reads a Figures.Histogram. The unit is a microsecond.
func Latencies(histogram string) (*hdrhistogram.Histogram, error) {
	if histogram == "" {
		return nil, errors.New("these figures have no histogram")
	}
	return hdrhistogram.Decode([]byte(histogram))
}

func (t *tally) figures(s Spec) Figures {
	all := hdrhistogram.New(1, longest, digits)
	f := Figures{Name: s.Name, Clients: s.Clients, Rate: s.Rate, Errors: t.errors, PerSecond: t.perSec}
	for _, part := range t.shards {
		all.Merge(part.times)
		f.Requests += part.worked
		f.Missed += part.late
	}
	if t.first != nil {
		f.Error = t.first.Error()
	}
	f.MBs = f.PerSecond * float64(s.Bytes) / 1e6
	f.took(all)
	return f
}

// took fills in all that a histogram tells.
func (f *Figures) took(all *hdrhistogram.Histogram) {
	at := func(percent float64, needs int64) float64 {
		if all.TotalCount() < needs {
			return 0
		}
		return float64(all.ValueAtQuantile(percent)) / 1000
	}
	f.P50, f.P90, f.P99, f.P999 = at(50, 20), at(90, 100), at(99, 1000), at(99.9, 10_000)
	f.Max = float64(all.Max()) / 1000
	if b, err := all.Encode(hdrhistogram.V2CompressedEncodingCookieBase); err == nil {
		f.Histogram = string(b)
	}
}

func (f *Figures) used(before, after Usage, sent int64) {
	each := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / float64(max(sent, 1)) }
	f.ClientCPU, f.ServerCPU, f.ServerPeak = each(after.Client-before.Client), each(after.Server-before.Server), after.Peak
}
