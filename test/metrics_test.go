package test

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pfs-project/pfs/test/harness"
)

var updateDocs = flag.Bool("update-docs", false, "write docs/metrics.md from what the nodes show")

// families is every metric that three nodes at work show, by name.
func families(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	p, plugins := newPapers(t, "n1", "n2", "n3"), t.TempDir()
	wasmExample(t, plugins, "hello")
	c := harness.Start(t, harness.Options{Nodes: 3, Bin: p.bin, Config: func(i int) string {
		return "server: {backup: {every: 1h, dir: " + t.TempDir() + "}}\nexternal_plugins: {enabled: true, plugin_dir: " + plugins + "}\n" + p.config(fmt.Sprintf("n%d", i+1))
	}})
	_, follower := leaderAndFollower(t, c)
	w := newWeb(t, follower)
	w.put("/memfs/a", "x")
	w.mount("queuefs", "/q", "")
	w.put("/q/jobs/enqueue", "x")
	w.want(404, "GET", "/files?path=/memfs/none&consistency=linearizable", "")
	w.want(200, "POST", "/plugins/load", `{"library_path":"hello.wasm"}`)
	w.mount("hellofs-go", "/hello", "")
	w.soon("/hello")
	w.want(404, "GET", "/files?path=/hello/none", "") // a file that no plugin has
	named := documented(t)
	all := map[string]*dto.MetricFamily{}
	seen := harness.Poll(20*time.Second, func() bool {
		for _, n := range c.Nodes {
			for name, f := range scrape(t, n) {
				if have := all[name]; have == nil || len(f.Metric) > len(have.Metric) {
					all[name] = f
				}
			}
		}
		// The leader asks now and then how far others are; some are counted later.
		return all["pfs_peer_lag_entries"] != nil && !slices.ContainsFunc(named, func(name string) bool { return all[name] == nil })
	})
	if !seen && all["pfs_peer_lag_entries"] == nil {
		t.Fatal("no node tells how far others are behind")
	}
	_, text := ask(t, follower.URL+"/metrics")
	promtool(t, text, "check", "metrics")
	return all
}

// documented are the metrics that docs/metrics.md names.
func documented(t *testing.T) (names []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(harness.Root(t), "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(pfs_[a-z0-9_]+)` ").FindAllStringSubmatch(string(b), -1) {
		names = append(names, m[1])
	}
	return names
}

func scrape(t *testing.T, n *harness.Node) map[string]*dto.MetricFamily {
	t.Helper()
	resp, err := http.Get(n.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	p := expfmt.NewTextParser(model.LegacyValidation)
	f, err := p.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", n.ID, err)
	}
	return f
}

func labelsOf(f *dto.MetricFamily) []string {
	var out []string
	for _, m := range f.Metric {
		for _, l := range m.Label {
			if !slices.Contains(out, l.GetName()) {
				out = append(out, l.GetName())
			}
		}
	}
	slices.Sort(out)
	return out
}

// What our metrics measure, as the end of the name. A word that is no unit
// counts things.
var unit = regexp.MustCompile(`_(seconds|bytes|entries|events|requests|connections|handles|chunks|messages|mounts|queues|members|index|term|info|up|leader|ready|alive|full|total|flight|process)(_total)?$`)

// metricsDoc is docs/metrics.md.
func metricsDoc(all map[string]*dto.MetricFamily) string {
	var b strings.Builder
	b.WriteString(`# The metrics

What ` + "`GET /metrics`" + ` shows beside Go's own figures (` + "`go_*`, `process_*`" + `).
Counters end in ` + "`_total`" + `; times are seconds, sizes bytes. A test compares this
page with what nodes show (` + "`go test ./test -run TestMetrics -update-docs`" + ` writes it).
Metrics of mounts name at most 100 of them, the others together as ` + "`(other)`" + `. So
do those of queues (` + "`pfs_queuefs_*`" + `), the ones that were made first: each node tells
of the queues of its mounts, those in the log on all nodes alike, and counts at most
10,000 of a mount. A database that does not answer within a second has none.

| metric | type | labels | meaning |
|---|---|---|---|
`)
	names := make([]string, 0, len(all))
	for name := range all {
		if strings.HasPrefix(name, "pfs_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		f := all[name]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()),
			strings.Join(labelsOf(f), ", "), strings.TrimSuffix(f.GetHelp(), "."))
	}
	return b.String()
}

// What nodes at work show is what the documentation, the dashboard and the
// alerts name.
func TestMetrics(t *testing.T) {
	all := families(t)
	t.Run("documentation", func(t *testing.T) { checkMetrics(t, all) })
	t.Run("dashboard", func(t *testing.T) { checkDashboard(t, all) })
	t.Run("alerts", func(t *testing.T) { checkAlerts(t, all) })
}

// checkMetrics: every metric says what it is and in which unit, keeps
// Prometheus' rules, and is in the documentation, which has no other.
func checkMetrics(t *testing.T, all map[string]*dto.MetricFamily) {
	for name, f := range all {
		if !strings.HasPrefix(name, "pfs_") {
			continue
		}
		switch {
		case !strings.HasSuffix(f.GetHelp(), "."):
			t.Errorf("%s has no sentence as its help: %q", name, f.GetHelp())
		case !unit.MatchString(name):
			t.Errorf("%s does not say what it counts", name)
		case f.GetType() == dto.MetricType_COUNTER != strings.HasSuffix(name, "_total"):
			t.Errorf("%s is a %s", name, f.GetType())
		}
	}
	problems, err := promlint.NewWithMetricFamilies(slices.Collect(maps.Values(all))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	file := filepath.Join(harness.Root(t), "docs", "metrics.md")
	want := metricsDoc(all)
	if *updateDocs {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(have), "\n")
	for line := range strings.Lines(want) {
		if !slices.Contains(lines, strings.TrimSuffix(line, "\n")) {
			t.Errorf("docs/metrics.md lacks: %s", line)
		}
	}
	operations, err := os.ReadFile(filepath.Join(harness.Root(t), "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	checkExpr(t, "docs/operations.md", string(operations), all)
	for _, line := range lines {
		if !strings.Contains(want, line) {
			t.Errorf("docs/metrics.md has what no node shows: %s", line)
		}
	}
}
