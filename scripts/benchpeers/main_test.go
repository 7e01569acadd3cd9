package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/bench"
	"github.com/pfs-project/pfs/bench/load"
	"github.com/pfs-project/pfs/bench/peers"
	"github.com/pfs-project/pfs/test/harness"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == peers.ServeArg {
		fmt.Fprintln(os.Stderr, peers.Serve(os.Args[2:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestRun measures two scenes against real servers for a blink, and reads the
// page, the figures and the plots.
func TestRun(t *testing.T) {
	harness.Need(t, "scripts/peers.sh, which make bench-peers runs, installs it", "etcd", "redis-server")
	dir := t.TempDir()
	page1, figures := filepath.Join(dir, "page.md"), filepath.Join(dir, "figures.json")
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := run(t.Context(), []string{"-pfs", filepath.Join(harness.Build(t), "pfs"), "-dir", data, "-only", "floor,put", "-rounds", "2",
		"-for", "300ms", "-warm", "100ms", "-page", page1, "-json", figures}, &out)
	if err != nil {
		t.Fatal(err, out.String())
	}
	b, err := os.ReadFile(figures)
	if err != nil {
		t.Fatal(err)
	}
	var p page
	if err := json.Unmarshal(b, &p); err != nil || len(p.Results) != 2 || len(p.Servers) != 5 {
		t.Fatalf("%v: %s", err, out.String())
	}
	for i, sides := range []int{3, 3} { // put: PFS, etcd, Redis; floor: PFS and both floors
		r := p.Results[i]
		if r.Error != "" || len(r.Sides) != sides || len(r.Lines) != sides-1 || r.Lines[0].Ratio.Median <= 0 {
			t.Errorf("%+v", r)
		}
		for _, f := range r.Sides {
			if f.ClientCPU <= 0 || f.ServerPeak <= 0 {
				t.Errorf("%s: %s used %v us for a request, its server %d bytes", r.Name, f.Name, f.ClientCPU, f.ServerPeak)
			}
		}
	}
	text, err := os.ReadFile(page1)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"etcd, one node | at least 2.00 | **", "one fdatasync and two round trips | at most 1.50 | **", "one appending fsync and two round trips | - | **", "page-ratios.svg", "appendfsync always", "fsync"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	for _, kind := range []string{"ratios", "latency"} {
		b, err := os.ReadFile(filepath.Join(dir, "page-"+kind+".svg"))
		if err != nil || !bytes.Contains(b, []byte("etcd")) {
			t.Errorf("%s: %v: %.200s", kind, err, b)
		}
		wellFormed(t, kind, b)
	}
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// A server that does not start takes the numbers of its scene, not those of others.
func TestMissingServer(t *testing.T) {
	dir := t.TempDir()
	pfs := filepath.Join(harness.Build(t), "pfs")
	t.Setenv("PATH", dir)
	name := filepath.Join(dir, "page.md")
	var out bytes.Buffer
	err := run(t.Context(), []string{"-pfs", pfs, "-dir", dir, "-only", "put,floor", "-rounds", "1", "-for", "100ms", "-warm", "0s", "-page", name}, &out)
	if err == nil || !strings.Contains(err.Error(), "etcd") {
		t.Errorf("%v: %s", err, out.String())
	}
	text, err := os.ReadFile(name)
	if err != nil || !strings.Contains(string(text), "| small durable PUT, one node | 64 | - | - | no number |") ||
		!strings.Contains(string(text), "one fdatasync and two round trips | at most 1.50 | **") {
		t.Errorf("%v: %s", err, text)
	}
}

// A run that is ended prints what it has, and writes no file.
func TestEnded(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "page.md")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	err := run(ctx, []string{"-pfs", "no-such-program", "-dir", dir, "-only", "floor", "-page", name, "-json", name + ".json"}, &out)
	if left, _ := os.ReadDir(dir); err == nil || len(left) > 0 || !strings.Contains(out.String(), "measured") {
		t.Errorf("%v, %v is left: %s", err, left, out.String())
	}
}

func wellFormed(t *testing.T, name string, b []byte) {
	for d := xml.NewDecoder(bytes.NewReader(b)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
	}
}

// The page and the terminal say how many requests there were and how many failed.
func TestErrorsAreShown(t *testing.T) {
	p := page{Results: []result{{Name: "a write", Sides: []load.Figures{{Name: "PFS", Requests: 73421, Errors: 57, ClientCPU: 12, ServerCPU: 34, ServerPeak: 56 << 20}}}}}
	var b bytes.Buffer
	p.print(&b)
	name := filepath.Join(t.TempDir(), "p.md")
	if err := p.write(name); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil || !strings.Contains(string(text), "| 73421 | 57 | 12 | 34 | 56 |") || !regexp.MustCompile(`PFS .* 73421 +57 +12 +34 +56`).MatchString(b.String()) {
		t.Errorf("%v %s %s", err, b.String(), text)
	}
}

// A side that lost what it had acknowledged leaves no number anywhere.
func TestNoNumber(t *testing.T) {
	lost := match{name: "a write", clients: 2, wanted: []float64{1}, side: func(_ *servers, o bench.Options) ([]bench.Case, error) {
		op := func(context.Context, int, int) error { <-time.After(time.Millisecond); return nil }
		good := bench.Case{Spec: o.Spec("good", 1, op)}
		bad := bench.Case{Spec: o.Spec("bad", 1, op), After: func(context.Context) error { return bench.ErrLost }}
		return []bench.Case{good, bad}, nil
	}}
	c := config{Options: bench.Options{Rounds: 2, For: 20 * time.Millisecond, Size: 1}}
	r, err := c.hold(t.Context(), lost, nil)
	if err != nil || r.Error == "" || len(r.Sides) > 0 || len(r.Lines) > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	var b bytes.Buffer
	p := page{Results: []result{r}}
	p.print(&b)
	name := filepath.Join(t.TempDir(), "p.md")
	if err := p.write(name); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil || !strings.Contains(b.String(), "no number") || !strings.Contains(string(text), "| a write | 2 | - | - | no number | - | no |") {
		t.Errorf("%v %s %s", err, b.String(), text)
	}
}

// Of a node alone, too, nothing is told that it measured before it lost a write; what it
// measured before another error is.
func TestNothingOfALoss(t *testing.T) {
	all := bench.Report{Results: make([]bench.Result, 1)}
	if n := len(told(all, fmt.Errorf("put: %w", bench.ErrLost))); n != 0 {
		t.Errorf("%d of a run that lost a write", n)
	}
	if n := len(told(all, errors.New("it does not start"))); n != 1 {
		t.Errorf("%d of one that ended early", n)
	}
}

// dd writes a new file each time, and removes none while it is measured.
func TestCopies(t *testing.T) {
	dir := t.TempDir()
	dd, err := peers.StartDD(t.Context(), peers.Site{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	c := copies("dd", dd.Blob.(peers.DD), dir, bench.Options{Clients: 1, Large: 3 << 20})
	there := func(want int) {
		t.Helper()
		if left, err := os.ReadDir(filepath.Join(dir, "dd")); err != nil || len(left) != want {
			t.Fatalf("%v, %v; %d were wanted", left, err, want)
		}
	}
	if err := c.Before(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for range 3 {
			if err := c.Spec.Op(t.Context(), 0, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Between(t.Context()); err != nil {
			t.Fatal(err)
		}
		there(1)
	}
	for range 2 {
		if err := c.Spec.Op(t.Context(), 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	there(3)
	if err := c.After(t.Context()); err != nil {
		t.Fatal(err)
	}
	there(0)
}

func TestLines(t *testing.T) {
	for _, c := range []struct {
		l       line
		reached string
		score   float64
	}{
		{line{Wanted: 2, Ratio: load.Ratio{Median: 2.5}}, "yes", 1.25},
		{line{Wanted: 2, Ratio: load.Ratio{Median: 1}}, "no", 0.5},
		{line{Wanted: 1.5, Latency: true, Ratio: load.Ratio{Median: 1}}, "yes", 1.5},
		{line{Wanted: 1.5, Latency: true, Ratio: load.Ratio{Median: 3}}, "no", 0.5},
		{line{Wanted: 1.5, Latency: true, Ratio: load.Ratio{Median: 1.5}}, "yes", 1},
	} {
		if c.l.Reached() != c.reached || c.l.score() != c.score {
			t.Errorf("%+v: %s, %v", c.l, c.l.Reached(), c.l.score())
		}
	}
	if got := (line{Ratio: load.Ratio{Median: 9}}).Reached(); got != "-" {
		t.Error(got)
	}
	r := inverse(load.Ratio{Rounds: []float64{0.5, 1, 0.25}, Median: 0.5, Min: 0.25, Max: 1})
	if r.Median != 2 || r.Min != 1 || r.Max != 4 || r.Rounds[0] != 2 {
		t.Errorf("%+v", r)
	}
}

// Every match says what is wanted of each of its sides, and its sides are there.
func TestScenes(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenes() {
		for _, m := range s.matches {
			if seen[m.name] || m.clients < 1 || len(m.wanted) == 0 {
				t.Errorf("%+v", m)
			}
			seen[m.name] = true
		}
	}
	for _, args := range [][]string{{"-only", "nothing"}, {"put"}, {"-only", "put,nothing"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}

// The clients of other servers are large: no program that is installed has them.
func TestProductWithoutPeers(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "./cmd/...")
	cmd.Dir = harness.Root(t)
	out, err := cmd.Output()
	if err != nil || !bytes.Contains(out, []byte("pfs/bench\n")) {
		t.Fatalf("%v: %.300s", err, out)
	}
	for _, name := range []string{"bench/peers", "go.etcd.io/etcd", "nats-io", "redis", "google.golang.org/grpc"} {
		if bytes.Contains(out, []byte(name)) {
			t.Errorf("a program of cmd has %s in it", name)
		}
	}
}
