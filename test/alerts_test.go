package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	dto "github.com/prometheus/client_model/go"

	"github.com/pfs-project/pfs/test/harness"
)

// metricName is a metric in an expression of Prometheus.
var metricName = regexp.MustCompile(`\b(?:pfs|go|process)_[a-z0-9_]+`)

// checkExpr fails if an expression names a metric that no node shows.
func checkExpr(t *testing.T, where, expr string, all map[string]*dto.MetricFamily) {
	t.Helper()
	names := metricName.FindAllString(expr, -1)
	if len(names) == 0 && !strings.Contains(expr, "up{") {
		t.Errorf("%s: %q names no metric", where, expr)
	}
	for _, name := range names {
		f := all[name]
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, part); ok && f == nil && all[base].GetType() == dto.MetricType_HISTOGRAM {
				f = all[base]
			}
		}
		if f == nil {
			t.Errorf("%s: no node shows %s", where, name)
		}
	}
}

// promtool runs Prometheus' own checker, which has to find nothing.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s (of the Debian package prometheus): %v\n%s", strings.Join(args, " "), err, out)
	}
}

// The parts of a Grafana dashboard that we look at.
type dashboard struct {
	Title, UID string
	Panels     []panel
}

type panel struct {
	ID          int
	Title, Type string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ RefID, Expr string }
}

// checkDashboard: the panels lie side by side, ask for what nodes show, and
// Prometheus understands how.
func checkDashboard(t *testing.T, all map[string]*dto.MetricFamily) {
	b, err := os.ReadFile(filepath.Join(harness.Root(t), "configs", "grafana", "pfs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if d.UID != "pfs" || len(d.Panels) < 40 {
		t.Errorf("%q has %d panels", d.UID, len(d.Panels))
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	asked := strings.NewReplacer("$__rate_interval", "5m", "$job", "x", "$instance", "x")
	rules := "groups:\n- name: dashboard\n  rules:\n"
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d %q: its id is taken, or it shows nothing", p.ID, p.Title)
		}
		ids[p.ID] = true
		g := p.GridPos
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if at := [2]int{x, y}; taken[at] != "" || x >= 24 {
					t.Fatalf("%q lies on %q, or out of the page", p.Title, taken[at])
				} else {
					taken[at] = p.Title
				}
			}
		}
		for _, target := range p.Targets {
			checkExpr(t, p.Title, target.Expr, all)
			rules += fmt.Sprintf("  - {record: 'panel:%d:%s', expr: '%s'}\n", p.ID, target.RefID, asked.Replace(target.Expr))
		}
	}
	file := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
}

// alertRules is configs/prometheus/alerts.yaml.
type alertRules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

// checkAlerts: every alert asks for what nodes show, leads to a section of the
// documentation, and has a test in which it fires.
func checkAlerts(t *testing.T, all map[string]*dto.MetricFamily) {
	root := harness.Root(t)
	dir := filepath.Join(root, "configs", "prometheus")
	read := func(name string) []byte {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var rules alertRules
	if err := yaml.UnmarshalWithOptions(read(filepath.Join(dir, "alerts.yaml")), &rules, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	docs := string(read(filepath.Join(root, "docs", "operations.md")))
	tests := string(read(filepath.Join(dir, "alerts_test.yaml")))
	if len(rules.Groups) != 1 || len(rules.Groups[0].Rules) < 20 {
		t.Fatalf("alerts.yaml has %d groups", len(rules.Groups))
	}
	for _, r := range rules.Groups[0].Rules {
		checkExpr(t, r.Alert, r.Expr, all)
		if s := r.Labels["severity"]; s != "warning" && s != "critical" {
			t.Errorf("%s has severity %q", r.Alert, s)
		}
		_, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "docs/operations.md#")
		if anchor != strings.ToLower(r.Alert) || !strings.Contains(docs, "\n### "+r.Alert+"\n") {
			t.Errorf("%s leads to #%s; docs/operations.md needs a section %s", r.Alert, anchor, r.Alert)
		}
		if r.Annotations["summary"] == "" || !strings.Contains(tests, "\n  - name: "+r.Alert+"\n") {
			t.Errorf("%s has no summary, or no test in alerts_test.yaml", r.Alert)
		}
	}
	promtool(t, "", "check", "rules", filepath.Join(dir, "alerts.yaml"))
	promtool(t, "", "test", "rules", filepath.Join(dir, "alerts_test.yaml"))
}
