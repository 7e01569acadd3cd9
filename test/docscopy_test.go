package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/test/harness"
)

// TestCopyPage runs every console block of docs/copy.md, in order, against a fresh
// node, and compares what it prints.
func TestCopyPage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(harness.Root(t), "docs", "copy.md")
	steps := readSteps(t, file)
	if len(steps) < 20 {
		t.Fatalf("docs/copy.md has %d commands in console blocks", len(steps))
	}
	c := harness.Start(t, harness.Options{})
	dir := t.TempDir()
	for _, st := range steps {
		cmd := exec.Command("bash", "-c", st.command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PFS_URL="+c.Nodes[0].URL, "PFS_OUTPUT=", "VISUAL=", "PATH="+c.Bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if !matches(string(out), st.want) {
			t.Errorf("docs/copy.md:%d: %s\ngot  %s (%v)\nwant %s", st.line, st.command, out, err, strings.Join(st.want, "\n"))
		}
	}
	t.Logf("%d commands of docs/copy.md ran as printed", len(steps))
}
