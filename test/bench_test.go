package test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/bench"
	"github.com/pfs-project/pfs/test/harness"
)

// benched runs pfs bench in a directory of its own and returns its report.
func benched(t *testing.T, bin, dir string, args ...string) bench.Report {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "pfs"), append([]string{"bench", "-o", "json", "--warm", "10ms", "--for", "60ms", "--large", "1MiB", "--entries", "2500", "--mounts", "30", "--keys", "100"}, args...)...)
	cmd.Dir = dir
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, said.String())
	}
	var r bench.Report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "pfs-bench-*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	return r
}

// TestBench measures every workload for a moment on a cluster that it starts, and
// those that any server has on one that runs.
func TestBench(t *testing.T) {
	t.Parallel()
	bin := harness.Build(t)
	dir := t.TempDir()
	var all []string
	for _, w := range bench.Workloads() {
		if !w.Alone {
			all = append(all, w.Name)
		}
	}
	r := benched(t, bin, dir, append(all, "--nodes", "1", "--clients", "1,4", "--plot", "plots", "--report", "r.json")...)
	if len(r.Results) != len(all) || r.Machine.Cores == 0 || r.Machine.SyncP50 == 0 || r.Version == "" {
		t.Errorf("%d of %d results of %+v", len(r.Results), len(all), r.Machine)
	}
	for _, res := range r.Results {
		if res.Target != "PFS" || res.Durability == "" || len(res.Loads) < 2 {
			t.Errorf("%s: %s, %d loads", res.Workload, res.Target, len(res.Loads))
		}
		for _, f := range res.Loads {
			if f.Requests == 0 || f.Errors != 0 || f.PerSecond <= 0 || f.Max <= 0 || f.P50 > f.Max || f.P99 > f.Max {
				t.Errorf("%+v", f)
			}
		}
		for _, kind := range []string{"throughput", "latency"} {
			if b, err := os.ReadFile(filepath.Join(dir, "plots", res.Workload+"-"+kind+".svg")); err != nil || !strings.Contains(string(b), "</svg>") {
				t.Errorf("%s has no plot of its %s: %v", res.Workload, kind, err)
			}
		}
	}
	var saved bench.Report
	if b, err := os.ReadFile(filepath.Join(dir, "r.json")); err != nil || json.Unmarshal(b, &saved) != nil || len(saved.Results) != len(all) {
		t.Errorf("the report in a file: %v", err)
	}
}

// TestBenchNodes starts three nodes, and stops and kills them.
func TestBenchNodes(t *testing.T) {
	t.Parallel()
	r := benched(t, harness.Build(t), t.TempDir(), "fresh", "scale", "footprint", "recovery", "--nodes", "3", "--clients", "4",
		"--counts", "50,200", "--state", "1MiB", "--idle", "50ms", "--connections", "100")
	if len(r.Results) != 4 || len(r.Results[0].Ratios) != 2 || len(r.Results[1].Facts) < 10 || len(r.Results[2].Facts) < 3 || len(r.Results[3].Facts) != 6 {
		t.Errorf("%+v", r.Results)
	}
	for _, res := range r.Results {
		for _, f := range res.Facts {
			if f.Value <= 0 {
				t.Errorf("%+v", f)
			}
		}
	}
}

// TestBenchURL measures a server that runs, and leaves nothing in it.
func TestBenchURL(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	r := benched(t, c.Bin, t.TempDir(), "put", "get", "queue", "cas", "stream", "--clients", "3", "--url", c.Nodes[0].URL)
	if len(r.Results) != 5 || r.Results[0].Nodes != 1 {
		t.Errorf("%+v", r.Results)
	}
	for _, dir := range []string{"/memfs", "/queuefs", "/streamfs"} {
		out, err := exec.Command(filepath.Join(c.Bin, "pfs"), "--url", c.Nodes[0].URL, "ls", dir).CombinedOutput()
		if err != nil || strings.Contains(string(out), "bench-") {
			t.Errorf("%s has %s (%v)", dir, out, err)
		}
	}
	out, err := exec.Command(filepath.Join(c.Bin, "pfs"), "--url", c.Nodes[0].URL, "bench", "recovery").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "without --url") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestBenchEnds stops a run as a terminal does; its nodes and its data go too. What
// it had measured is printed, and no file is written.
func TestBenchEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(filepath.Join(harness.Build(t), "pfs"), "bench", "recovery", "scale", "--nodes", "1", "--clients", "2",
		"--state", "1MiB", "--counts", "50", "--for", "10m", "--report", "r.json", "-o", "json")
	var out bytes.Buffer
	cmd.Dir, cmd.Stdout = dir, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	log := filepath.Join(dir, "pfs-bench-*", "1-2", "0", "bench.log") // of scale
	if !harness.Poll(2*time.Minute, func() bool { found, _ := filepath.Glob(log); return len(found) == 1 }) {
		t.Fatal("no node runs")
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("a run that was ended says that all is well")
		}
	case <-time.After(3 * time.Minute):
		t.Fatal("it goes on")
	}
	var r bench.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || len(r.Results) != 1 || r.Results[0].Workload != "recovery" {
		t.Errorf("what was measured is not printed: %v %s", err, out.String())
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	if out, _ := exec.Command("pgrep", "-f", regexp.QuoteMeta(dir)).Output(); len(out) > 0 {
		t.Errorf("processes are left: %s", out)
	}
}
