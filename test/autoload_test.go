package test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// TestAutoLoad starts three nodes, two of which have a plugin of the same name with
// other code: one of them is loaded for all, and is mounted as the file asks. What
// is broken, and a library without the program that runs it, stops nothing.
func TestAutoLoad(t *testing.T) {
	t.Parallel()
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	wasmExample(t, dirs[0], "hello")
	wasmExample(t, dirs[1], "hello", "-ldflags=-s -w")
	wasmExample(t, dirs[2], "memory")
	for name, code := range map[string]string{"README.txt": "not a plugin", ".hidden.wasm": "\x00asm", "broken.wasm": "\x00asm",
		"0-broken": "#!/bin/sh\nexit 1\n", "1-waits.so": "\x7fELF\x02\x01\x01"} {
		if err := os.WriteFile(filepath.Join(dirs[2], name), []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := harness.Start(t, harness.Options{Nodes: 3, Config: func(i int) string {
		return fmt.Sprintf("external_plugins: {enabled: true, auto_load: true, plugin_host: /nothing, plugin_dir: %q}\n"+
			"plugins:\n  hellofs-go: {path: /hello, config: {greeting: Hi}}\n  memory-go: {path: /mem}\n", dirs[i])
	}})
	settled := func() bool {
		return logged(t, c.Nodes[0], "another plugin of this name") != logged(t, c.Nodes[1], "another plugin of this name") &&
			logged(t, c.Nodes[2], `"plugin is not loaded"`, "broken.wasm") && logged(t, c.Nodes[2], `"plugin is not loaded"`, "0-broken") &&
			logged(t, c.Nodes[2], "plugin is not loaded yet", "1-waits.so", "pfs-plugin-host") && logged(t, c.Nodes[2], `"plugin is loaded"`)
	}
	if !harness.Poll(60*time.Second, settled) {
		t.Errorf("not loaded as it should be\n%s\n%s\n%s", c.Nodes[0].Tail(), c.Nodes[1].Tail(), c.Nodes[2].Tail())
	}
	if logged(t, c.Nodes[2], "README.txt") || logged(t, c.Nodes[2], "hidden") {
		t.Errorf("what is no plugin was tried\n%s", c.Nodes[2].Tail())
	}
	newWeb(t, c.Nodes[0]).soon("/mem") // what is loaded is mounted next
	newWeb(t, c.Nodes[0]).put("/mem/f", "kept while it runs")
	for _, n := range c.Nodes {
		newWeb(t, n).readsSoon("/hello/hello", "Hi\n")
		newWeb(t, n).readsSoon("/mem/f", "kept while it runs")
	}
	c.KillAll()
	for _, dir := range dirs { // the code is in the cluster
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	c.StartAll()
	c.Ready()
	for _, n := range c.Nodes {
		newWeb(t, n).readsSoon("/hello/hello", "Hi\n")
	}
	c.SameDigest()
}
