package test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/test/harness"
)

// runsEcho is a plugin that runs a program to answer.
const runsEcho = `
import subprocess

class Runs(Plugin):
    name = "runs"

    def list(self, path):
        return [File("f", 9)]

    def stat(self, path):
        return File("f", 9)

    def read(self, path, offset, size):
        try:
            return subprocess.check_output(["/bin/echo", "it is run"])[offset:offset + size]
        except OSError as e:
            return e.strerror.encode()[:9][offset:offset + size]

run(Runs())
`

// A plugin runs other programs if that was granted to it, and not otherwise.
func TestPluginProcesses(t *testing.T) {
	dir := t.TempDir()
	sdk := fileBytes(t, filepath.Join(harness.Root(t), "examples", "python-msgpack", "pfsplugin.py"))
	writeFiles(t, dir, map[string][]byte{"runs": slices.Concat([]byte("#!/usr/bin/env python3\n"), sdk, []byte(runsEcho))})
	c := harness.Start(t, harness.Options{Config: func(int) string {
		return fmt.Sprintf("external_plugins:\n  enabled: true\n  plugin_dir: %q\n", dir)
	}})
	w := newWeb(t, c.Nodes[0])
	for grants, want := range map[string]string{"{}": "Operation", mayStart: "it is run"} {
		w.want(200, "POST", "/plugins/load", fmt.Sprintf(`{"library_path":"runs","grants":%s}`, grants))
		w.want(200, "POST", "/mount", `{"fstype":"runs","path":"/runs"}`)
		if a := w.want(200, "GET", "/files?path=/runs/f", ""); strings.TrimSpace(a.body) != want && !strings.Contains(c.Nodes[0].Tail(), "no processes of its own") {
			t.Errorf("granted %s: %q, expected %q", grants, a.body, want)
		}
		w.want(200, "POST", "/unmount", `{"path":"/runs"}`)
	}
}
