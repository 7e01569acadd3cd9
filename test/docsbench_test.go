package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/test/harness"
)

// TestBenchPage runs every console block of docs/bench.md, and compares what it
// prints.
func TestBenchPage(t *testing.T) {
	t.Parallel()
	steps := readSteps(t, filepath.Join(harness.Root(t), "docs", "bench.md"))
	if len(steps) < 5 {
		t.Fatalf("docs/bench.md has %d commands in console blocks", len(steps))
	}
	c := harness.Start(t, harness.Options{})
	dir := t.TempDir()
	for _, st := range steps {
		cmd := exec.Command("bash", "-c", st.command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PFS_URL="+c.Nodes[0].URL, "PFS_OUTPUT=", "PATH="+c.Bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil || !matches(string(out), st.want) {
			t.Errorf("docs/bench.md:%d: %s\ngot  %s (%v)\nwant %s", st.line, st.command, out, err, strings.Join(st.want, "\n"))
		}
	}
}
