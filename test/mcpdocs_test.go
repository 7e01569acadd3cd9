package test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/test/harness"
)

// TestMCPDocs runs the console blocks of docs/mcp.md and compares what they print.
func TestMCPDocs(t *testing.T) {
	steps := readSteps(t, filepath.Join(harness.Root(t), "docs", "mcp.md"))
	if len(steps) == 0 {
		t.Fatal("no commands")
	}
	sh := startShell(t, harness.Build(t))
	for _, st := range steps {
		out, code, err := sh.patient(st)
		if err != nil {
			t.Fatalf("docs/mcp.md:%d: %s\n%v\n%s", st.line, st.command, err, out)
		}
		if !resembles(out, st.want) {
			t.Errorf("docs/mcp.md:%d: %s\ngot (%d)\n%swant\n%s", st.line, st.command, code, out, strings.Join(st.want, "\n"))
		}
	}
	t.Logf("%d commands of docs/mcp.md ran as printed", len(steps))
}
