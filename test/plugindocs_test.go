package test

import (
	"path/filepath"
	"regexp"
	"strconv"
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
				st.command = unhurried(st.command)
				out, code, err := sh.patient(st)
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

// hurried are the seconds that a command gives itself, a key or a heartbeat.
var hurried = regexp.MustCompile(`(--max-time |timeout |timeout=|-Ttl: )(\d+)`)

// unhurried is a command with six times as many of them: on a busy machine the next
// command begins later than a reader of the page types it.
func unhurried(command string) string {
	return hurried.ReplaceAllStringFunc(command, func(s string) string {
		m := hurried.FindStringSubmatch(s)
		n, _ := strconv.Atoi(m[2]) // digits
		return m[1] + strconv.Itoa(6*n)
	})
}
