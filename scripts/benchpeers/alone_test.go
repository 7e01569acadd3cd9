package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/test/harness"
)

// blink runs scenes for a moment and returns what they measured.
func blink(t *testing.T, args ...string) (p page, text string) {
	t.Helper()
	dir, data := t.TempDir(), t.TempDir()
	figures, name := filepath.Join(dir, "figures.json"), filepath.Join(dir, "page.md")
	var out bytes.Buffer
	err := run(t.Context(), append([]string{"-pfs", filepath.Join(harness.Build(t), "pfs"), "-dir", data, "-rounds", "1",
		"-for", "200ms", "-warm", "20ms", "-large", "1048576", "-json", figures, "-page", name}, args...), &out)
	if err != nil {
		t.Fatal(err, out.String())
	}
	b, err := os.ReadFile(figures)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	page1, err2 := os.ReadFile(name)
	if err != nil || err2 != nil || !strings.Contains(out.String(), " left") {
		t.Fatal(err, err2, out.String())
	}
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	for _, r := range p.Results {
		if r.Error != "" {
			t.Errorf("%s: %s", r.Name, r.Error)
		}
	}
	return p, string(page1)
}

// A node alone has its figures, and what was wanted of them.
func TestAlone(t *testing.T) {
	p, text := blink(t, "-only", "keys,restart,footprint", "-keys", "400", "-state", "1048576", "-connections", "100", "-idle", "50ms")
	if len(p.Results) != 3 {
		t.Fatalf("%+v", p.Results)
	}
	for i, wanted := range [][]string{
		{"load rate up to 400 keys", "peak resident, each node, 400 keys", "restart to ready, 400 keys"},
		{"restart to ready after a stop, 1 MiB", "resident after restart to ready after a kill, 1 MiB"},
		{"resident after 50ms with nothing to do", "resident with 100 open connections", "pfs, "},
	} {
		for _, name := range wanted {
			if !strings.Contains(text, p.Results[i].Name) || !strings.Contains(text, "| "+name) {
				t.Errorf("the page lacks %q", name)
			}
		}
		for _, f := range p.Results[i].Figures {
			if f.Value <= 0 {
				t.Errorf("%+v", f)
			}
		}
	}
	if !strings.Contains(text, "at most 60.00 MiB | **") {
		t.Error("the page does not tell what was wanted")
	}
}

func TestFigures(t *testing.T) {
	for most, want := range map[float64]string{0: "-", 5: "yes", 4: "yes", 3: "no"} {
		f := figure{Wanted: most}
		if f.Value = 4; f.Reached() != want {
			t.Errorf("%+v: %s", f, f.Reached())
		}
	}
}

// A server that runs is measured by its URL, and nothing is left in it.
func TestURL(t *testing.T) {
	c := harness.Start(t, harness.Options{})
	p, text := blink(t, "-only", "url", "-url", c.Nodes[0].URL)
	if len(p.Results) != 4 || !strings.Contains(text, "PFS at "+c.Nodes[0].URL) {
		t.Errorf("%+v", p.Results)
	}
	out, err := exec.Command(filepath.Join(c.Bin, "pfs"), "--url", c.Nodes[0].URL, "ls", "/memfs").CombinedOutput()
	if err != nil || strings.Contains(string(out), "bench-") {
		t.Errorf("%s is left (%v)", out, err)
	}
}
