package test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/test/harness"
)

// docPages are the pages beside those of docs/plugins whose commands are run.
var docPages = []string{"cli.md"}

// TestPluginDocs runs the console blocks of each page in docs/plugins and of
// docPages, in order and in a shell of its own, and compares what they print.
func TestPluginDocs(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(harness.Root(t), "docs", "plugins", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for _, name := range docPages {
		pages = append(pages, filepath.Join(harness.Root(t), "docs", name))
	}
	bin := harness.Build(t)
	for _, page := range pages {
		name := filepath.Base(page)
		t.Run(name, func(t *testing.T) {
			steps := readSteps(t, page)
			if len(steps) == 0 {
				t.Fatal("no commands")
			}
			sh := startShell(t, bin)
			for _, st := range steps {
				out, code, err := sh.run(st.command, commandTime)
				if err != nil {
					t.Fatalf("%s:%d: %s\n%v\n%s", name, st.line, st.command, err, out)
				}
				if !resembles(out, st.want) {
					t.Errorf("%s:%d: %s\ngot (%d)\n%swant\n%s", name, st.line, st.command, code, out, strings.Join(st.want, "\n"))
				}
			}
			t.Logf("%d commands of %s ran as printed", len(steps), name)
		})
	}
}
