package bench

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Machine is what figures depend on.
type Machine struct {
	Cores      int     `json:"cores"`
	Model      string  `json:"model"` // of the processor
	OS         string  `json:"os"`
	Kernel     string  `json:"kernel"`
	Filesystem string  `json:"filesystem"`   // of the data
	SyncP50    float64 `json:"fsync_p50_ms"` // 4 KiB appended, and fsync
	SyncP99    float64 `json:"fsync_p99_ms"`
	DataP50    float64 `json:"fdatasync_p50_ms"` // 4 KiB written in place, and fdatasync
	DataP99    float64 `json:"fdatasync_p99_ms"`
	Go         string  `json:"go"`
	Load       string  `json:"load_average"` // of one, five and fifteen minutes, before the run
}

// Look tells the machine and measures the disk of dir: 500 writes of 4 KiB, each
// durable, in each of the ways of Synced.
func Look(dir string) (Machine, error) {
	m := Machine{Cores: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	m.Kernel = strings.TrimSpace(proc("sys/kernel/osrelease"))
	for line := range strings.Lines(proc("cpuinfo")) {
		if name, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.Model = strings.TrimSpace(v)
			break
		}
	}
	if f := strings.Fields(proc("loadavg")); len(f) > 2 {
		m.Load = strings.Join(f[:3], " ")
	}
	m.Filesystem = filesystem(dir)
	var err, err2 error
	m.SyncP50, m.SyncP99, err = syncTimes(filepath.Join(dir, "sync"), true)
	m.DataP50, m.DataP99, err2 = syncTimes(filepath.Join(dir, "sync"), false)
	return m, errors.Join(err, err2)
}

// proc reads a file of /proc; "" where there is none.
func proc(name string) string {
	b, _ := os.ReadFile("/proc/" + name) // not on every system
	return string(b)
}

// filesystem is the type and the device of the mount that dir is in.
func filesystem(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	best, found := 0, ""
	mounts := bufio.NewScanner(strings.NewReader(proc("self/mounts")))
	for mounts.Scan() {
		f := strings.Fields(mounts.Text())
		if len(f) > 2 && len(f[1]) >= best && (f[1] == "/" || abs == f[1] || strings.HasPrefix(abs, f[1]+"/")) {
			best, found = len(f[1]), f[2]+" on "+f[0]
		}
	}
	return found
}

// syncTimes are the median and the 99th percentile of durable writes, in ms.
func syncTimes(name string, grows bool) (p50, p99 float64, err error) {
	h := hdrhistogram.New(1, time.Minute.Microseconds(), 3)
	s, err := NewSynced(name, grows)
	if err != nil {
		return 0, 0, err
	}
	defer os.Remove(name)
	defer s.Close()
	for range 500 {
		at := time.Now()
		if err := s.Write(); err != nil {
			return 0, 0, err
		}
		_ = h.RecordValue(min(time.Minute.Microseconds(), time.Since(at).Microseconds())) // it refuses only what is outside
	}
	return float64(h.ValueAtQuantile(50)) / 1000, float64(h.ValueAtQuantile(99)) / 1000, nil
}
