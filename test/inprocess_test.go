package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/test/harness"
)

// A server that is built for it loads native libraries itself, and says so in its
// log, at its start and in the list of plugins. Mounts of one have nothing in common.
func TestInProcess(t *testing.T) {
	dir := t.TempDir()
	nativeExamples(t, dir)
	c := harness.Start(t, harness.Options{Bin: harness.Build(t, "inprocess"), Config: func(int) string {
		return fmt.Sprintf("external_plugins:\n  enabled: true\n  plugin_dir: %q\n  isolation: none\n", dir)
	}})
	n := c.Nodes[0]
	w := newWeb(t, n)
	for _, lib := range []string{"hello.so", "memory.so"} {
		w.want(200, "POST", "/plugins/load", fmt.Sprintf(`{"library_path":%q}`, lib))
	}
	w.want(400, "POST", "/mount", fmt.Sprintf(`{"fstype":"hellofs-c","path":"/h","config":{"greeting":%q}}`, strings.Repeat("x", 201)))
	w.want(200, "POST", "/mount", `{"fstype":"hellofs-c","path":"/one","config":{"greeting":"one"}}`)
	w.want(200, "POST", "/mount", `{"fstype":"hellofs-c","path":"/two","config":{"greeting":"two"}}`)
	w.want(200, "POST", "/mount", `{"fstype":"memory-c","path":"/m"}`)
	w.readsSoon("/one/hello", "one\n")
	w.readsSoon("/two/hello", "two\n")
	w.upSoon("/m")
	big := strings.Repeat("0123456789abcdef", 1<<16)
	w.put("/m/f", big)
	w.want(200, "PUT", "/files?path=/m/f&offset=3", "DEF")
	if got := w.want(200, "GET", "/files?path=/m/f", "").body; got != "012DEF"+big[6:] {
		t.Errorf("%d bytes, %.20q", len(got), got)
	}
	w.want(404, "GET", "/files?path=/m/nothing", "")
	w.want(200, "POST", "/unmount", `{"path":"/one"}`)
	w.readsSoon("/two/hello", "two\n")

	if pids := children(t, n); len(pids) != 0 {
		t.Errorf("processes %v", pids)
	}
	if list := w.want(200, "GET", "/plugins", "").body; strings.Count(list, `"isolation":"none"`) != 2 {
		t.Error(list)
	}
	log, err := os.ReadFile(n.Log)
	if err != nil {
		t.Fatal(err)
	}
	for text, least := range map[string]int{"one that crashes ends this node": 4, "NO ISOLATION": 1} {
		if strings.Count(string(log), text) < least {
			t.Errorf("the log says %q too seldom", text)
		}
	}
}

// Any other server refuses to start so, and says how to build one that does.
func TestNoIsolationIsBuilt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte("external_plugins:\n  isolation: none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(harness.Build(t), "pfs-server"), "-c", file, "-data-dir", t.TempDir())
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "go build -tags inprocess ./cmd/pfs-server") {
		t.Errorf("%v: %s", err, out)
	}
}
