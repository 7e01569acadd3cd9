package serverinfofs

import (
	"encoding/json"
	"runtime"
	"runtime/metrics"
	"time"
)

// memory is the heap in bytes and how often it was collected.
type memory struct {
	Alloc      uint64 `json:"alloc"`
	TotalAlloc uint64 `json:"totalAlloc"`
	Sys        uint64 `json:"sys"`
	NumGC      uint64 `json:"numGC"`
}

// readMemory asks runtime/metrics, which stops nothing.
func readMemory() memory {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(samples)
	var n [4]uint64
	for i, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			n[i] = s.Value.Uint64()
		}
	}
	return memory{n[0], n[1], n[2], n[3]}
}

func (f *FS) up(now time.Time) time.Duration { return now.Sub(f.started).Truncate(time.Second) }

func (f *FS) uptime(now time.Time) string { return f.up(now).String() + "\n" }

func (f *FS) serverInfo(now time.Time) string {
	return object(struct {
		Version      string `json:"version"`
		Uptime       string `json:"uptime"`
		StartTime    string `json:"startTime"`
		GoVersion    string `json:"goVersion"`
		NumCPU       int    `json:"numCPU"`
		NumGoroutine int    `json:"numGoroutine"`
		Memory       memory `json:"memory"`
	}{
		f.version, f.up(now).String(), f.started.Format(time.RFC3339), runtime.Version(),
		runtime.NumCPU(), runtime.NumGoroutine(), readMemory(),
	})
}

func (f *FS) stats(time.Time) string {
	return object(struct {
		Goroutines int    `json:"goroutines"`
		Memory     memory `json:"memory"`
	}{runtime.NumGoroutine(), readMemory()})
}

func (f *FS) trafficInfo(now time.Time) string {
	r := f.rates.sample(now)
	return object(struct {
		Downstream     int64 `json:"downstream_bps"`
		Upstream       int64 `json:"upstream_bps"`
		PeakDownstream int64 `json:"peak_downstream_bps"`
		PeakUpstream   int64 `json:"peak_upstream_bps"`
		TotalDownload  int64 `json:"total_download_bytes"`
		TotalUpload    int64 `json:"total_upload_bytes"`
		Uptime         int64 `json:"uptime_seconds"`
	}{
		r.out.now, r.in.now, r.out.peak, r.in.peak, r.out.total, r.in.total,
		int64(f.up(now) / time.Second),
	})
}

// object renders a struct of numbers and strings, which cannot fail.
func object(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "{}\n"
	}
	return string(b) + "\n"
}
