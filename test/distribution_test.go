package test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// kinds are a plugin of each kind: its file, what more makes the file another one
// that is the same plugin, and what its /hello reads.
var pluginKinds = []struct{ kind, file, name, more, hello string }{
	{"wasm", "hello.wasm", "hellofs-go", "\x00\x03\x01xy", "Hello from Go WASM plugin!\n"},
	{"native", "hello.so", "hellofs-c", "more", "Hello from C plugin!\n"},
	{"http", "hello", "hellofs-http", "more", "Hello from Go HTTP plugin!\n"},
	{"msgpack", "hello.pyz", "hellofs-py", "more", "Hello from Python plugin!\n"},
}

// allKinds builds them into a directory.
func allKinds(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	wasmExample(t, dir, "hello")
	nativeExamples(t, dir)
	processExamples(t, dir)
	return dir
}

// A node that joins late gets the code of every kind of plugin by its hash, in the
// place of what is damaged there, and has the mounts once the node that had them is
// killed: the others do not run plugins.
func TestPluginFailover(t *testing.T) {
	t.Parallel()
	dir := allKinds(t)
	runs := fmt.Sprintf("external_plugins: {enabled: true, plugin_dir: %q}\n", dir)
	c := harness.Start(t, harness.Options{Nodes: 3, Config: func(i int) string {
		if i == 0 {
			return runs
		}
		return ""
	}})
	one, two := newWeb(t, c.Nodes[0]), newWeb(t, c.Nodes[1])
	for _, k := range pluginKinds {
		one.want(200, "POST", "/plugins/load", fmt.Sprintf(`{"library_path":%q}`, k.file))
		one.want(200, "POST", "/mount", fmt.Sprintf(`{"fstype":%q,"path":"/%s"}`, k.name, k.kind))
		two.readsSoon("/"+k.kind+"/hello", k.hello)
	}
	one.want(200, "POST", "/mount", fmt.Sprintf(`{"fstype":%q,"path":"/stays","node":"n1"}`, pluginKinds[0].name))
	if m := two.shown("/wasm"); m.Node != "n1" {
		t.Errorf("%+v", m)
	}
	config := filepath.Join(t.TempDir(), "late.yaml")
	if err := os.WriteFile(config, []byte(runs), 0o600); err != nil {
		t.Fatal(err)
	}
	n4 := c.Add("-c", config)
	n4.Ready()
	if err := os.RemoveAll(dir); err != nil { // the code is in the cluster
		t.Fatal(err)
	}
	var spoiled []string
	if !harness.Poll(30*time.Second, func() bool { spoiled = chunkFiles(t, n4); return len(spoiled) >= 2 }) {
		t.Fatal("the late node has no code")
	}
	for _, f := range spoiled {
		spoil(t, f)
	}
	c.Nodes[0].Kill()
	late := newWeb(t, n4)
	for _, k := range pluginKinds {
		for _, w := range []web{late, two} {
			w.readsSoon("/"+k.kind+"/hello", k.hello)
		}
		if m := two.shown("/" + k.kind); m.Node != "n4" {
			t.Errorf("%s lives on %+v", k.kind, m)
		}
	}
	if m := two.shown("/stays"); m.Node != "n1" {
		t.Errorf("a mount whose node was named has moved: %+v", m)
	}
	c.Nodes[0].Start()
	c.Ready()
	one.readsSoon("/wasm/hello", pluginKinds[0].hello)
	one.readsSoon("/stays/hello", pluginKinds[0].hello)
	// Until it has heard that they have moved it may start them as it knew them.
	if !harness.Poll(30*time.Second, func() bool { return len(children(t, c.Nodes[0])) == 0 }) {
		t.Errorf("programs run where their mounts have moved away: %v", children(t, c.Nodes[0]))
	}
	c.SameDigest()
}

// chunkFiles returns the files that a node has chunks in.
func chunkFiles(t *testing.T, n *harness.Node) (files []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(n.Dir, "blobs"), func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && len(d.Name()) >= 64 {
			files = append(files, p)
		}
		return nil // it may be gone meanwhile
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// spoil changes bytes in the middle of a file.
func spoil(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[len(b)/2:], "not what was written")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A mount that was acknowledged answers on every node at once, and one with the
// placement any-reader goes on where a node is left alone; nothing changes it.
func TestPluginEverywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	wasmExample(t, dir, "hello")
	wasmExample(t, dir, "memory")
	c := harness.Start(t, harness.Options{Nodes: 3, Config: func(int) string {
		return fmt.Sprintf("external_plugins: {enabled: true, plugin_dir: %q}\n", dir)
	}})
	nodes := []web{newWeb(t, c.Nodes[0]), newWeb(t, c.Nodes[1]), newWeb(t, c.Nodes[2])}
	nodes[0].want(400, "POST", "/plugins/load", `{"library_path":"hello.wasm","placement":"everywhere"}`)
	nodes[0].want(200, "POST", "/plugins/load", `{"library_path":"hello.wasm","placement":"any-reader"}`)
	nodes[1].want(200, "POST", "/plugins/load", `{"library_path":"memory.wasm"}`)
	nodes[0].want(200, "POST", "/mount", `{"fstype":"hellofs-go","path":"/warm"}`)
	for _, w := range nodes { // it is compiled on each of them, once
		w.readsSoon("/warm/hello", pluginKinds[0].hello)
	}
	for i := range 6 {
		at, name := fmt.Sprintf("/m%d", i), "hellofs-go"
		if i%2 == 1 {
			name = "memory-go"
		}
		a := nodes[i%3].want(200, "POST", "/mount", fmt.Sprintf(`{"fstype":%q,"path":%q}`, name, at))
		index := a.header.Get("X-Pfs-Index")
		var wg sync.WaitGroup
		for n, w := range nodes {
			wg.Go(func() {
				// One that starts slowly asks for patience; it is never said not to be there.
				if a, err := w.patient("GET", "/stat?path="+at+"&timeout=1m&min_index="+index, ""); err != nil || a.status != 200 {
					t.Errorf("node %d, just mounted: %v %d %s", n+1, err, a.status, a.body)
				}
				if name == "memory-go" {
					if a, err := w.patient("PUT", fmt.Sprintf("/files?path=%s/f%d", at, n), "x"); err != nil || a.status != 200 {
						t.Errorf("node %d, just mounted: %v %d %s", n+1, err, a.status, a.body)
					}
				}
			})
		}
		wg.Wait()
	}
	nodes[2].want(501, "PUT", "/files?path=/m0/hello", "changed")
	nodes[2].want(501, "DELETE", "/files?path=/m0/hello", "")
	a := nodes[1].want(409, "POST", "/plugins/load", `{"library_path":"hello.wasm"}`)
	if !strings.Contains(a.body, "mounted at /m0, /m2, /m4, /warm") {
		t.Error(a.body)
	}
	// Other code takes its place on all nodes, and nobody is turned away meanwhile
	// who waits for it to start.
	second := wasmCalled(t, t.TempDir(), "hello", "Hello from Go WASM plugin!", "The second one")
	code, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	var readers sync.WaitGroup
	for n, w := range nodes {
		readers.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				time.Sleep(5 * time.Millisecond)
				a, err := w.do("GET", "/files?path=/warm/hello", nil)
				if err != nil || a.status != 200 && !(a.status == 503 && strings.Contains(a.body, "starting")) { // a slow compiler
					t.Errorf("node %d, during a reload: %v %d %s", n+1, err, a.status, a.body)
				}
			}
		})
	}
	nodes[1].want(200, "POST", "/plugins/load?placement=any-reader&name=second", string(code))
	for _, w := range nodes {
		w.readsSoon("/warm/hello", "The second one\n")
	}
	close(over)
	readers.Wait()
	for _, w := range nodes { // each mount has it in its own time
		w.readsSoon("/m0/hello", "The second one\n")
	}
	leader := c.Leader()
	alone := slices.IndexFunc(c.Nodes, func(n *harness.Node) bool { return n != leader })
	for i, n := range c.Nodes {
		if i != alone {
			n.Kill()
		}
	}
	for range 20 {
		if got := nodes[alone].want(200, "GET", "/files?path=/m0/hello", "").body; got != "The second one\n" {
			t.Errorf("cut off: %q", got)
		}
		time.Sleep(100 * time.Millisecond)
	}
	for i, n := range c.Nodes {
		if i != alone {
			n.Start()
		}
	}
	c.Ready()
	for _, w := range nodes {
		w.readsSoon("/m0/hello", "The second one\n")
	}
	c.SameDigest()
}

// Code of every kind is loaded, listed, replaced under its mounts, refused and
// unloaded, with the answers that clients know.
func TestPluginReload(t *testing.T) {
	t.Parallel()
	dir := allKinds(t)
	c := harness.Start(t, harness.Options{Nodes: 1, Config: func(int) string {
		return fmt.Sprintf("external_plugins: {enabled: true, plugin_dir: %q}\n", dir)
	}})
	w := newWeb(t, c.Nodes[0])
	for _, k := range pluginKinds {
		file, at := filepath.Join(dir, k.file), "/"+k.kind
		first, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		load := fmt.Sprintf(`{"library_path":%q,"limits":{"call":"7s"}}`, k.file)
		a := w.want(200, "POST", "/plugins/load", load)
		if !strings.Contains(a.body, `"message":"plugin loaded successfully"`) || !strings.Contains(a.body, fmt.Sprintf(`"plugin_name":%q,"renamed":false`, k.name)) {
			t.Error(a.body)
		}
		w.want(200, "POST", "/mount", fmt.Sprintf(`{"fstype":%q,"path":%q}`, k.name, at))
		w.readsSoon(at+"/hello", k.hello)
		before, _ := w.plugin(k.name)
		if before.Path != k.file || before.Place != "pinned" || before.Limits.Call != "7s" || before.Limits.Idle != "0s" || len(before.Mounted) != 1 {
			t.Errorf("%+v", before)
		}

		replace(t, file, append(slices.Clone(first), k.more...))
		w.want(409, "POST", "/plugins/load", load, "If-None-Match", "*")
		w.want(200, "POST", "/plugins/load", load)
		second, _ := w.plugin(k.name)
		if second.Sum == before.Sum || second.Name != before.Name {
			t.Errorf("%s was not replaced: %+v", k.name, second)
		}
		var got answer
		if !harness.Poll(time.Minute, func() bool { // where it starts slowly, a read says so after 3 s
			got, err = w.do("GET", "/files?path="+at+"/hello", nil)
			return err != nil || got.status != 503 || !strings.Contains(got.body, "starting")
		}) || err != nil || got.status != 200 || got.body != k.hello {
			t.Errorf("%s, just replaced: %v %d %q", k.name, err, got.status, got.body)
		}

		replace(t, file, first[:len(first)/3])
		w.want(400, "POST", "/plugins/load", load)
		if now, _ := w.plugin(k.name); now.Sum != second.Sum {
			t.Errorf("broken code has taken the place of %s", k.name)
		}
		w.readsSoon(at+"/hello", k.hello) // a call may take longer than it may
		a = w.want(409, "POST", "/plugins/unload", fmt.Sprintf(`{"library_path":%q}`, k.file))
		if !strings.Contains(a.body, "is mounted at "+at+": unmount it first") {
			t.Error(a.body)
		}
	}
	// Code that is sound and refuses what the mount is set to replaces nothing.
	file := wasmCalled(t, t.TempDir(), "hello", `name != "greeting"`, `name != "salute"`)
	code, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w.want(200, "POST", "/mount", `{"fstype":"hellofs-go","path":"/set","config":{"greeting":"As it was"}}`)
	a := w.want(400, "POST", "/plugins/load", string(code))
	if !strings.Contains(a.body, "nothing was replaced: the plugin does not start with the settings of its mount at /set") {
		t.Error(a.body)
	}
	w.readsSoon("/set/hello", "As it was\n")
	w.want(200, "POST", "/unmount", `{"path":"/set"}`)

	text := w.metrics()
	for _, k := range pluginKinds {
		for _, line := range []string{
			fmt.Sprintf(`pfs_plugin_mounts{plugin=%q,state="mounted"} 1`, k.name),
			fmt.Sprintf(`pfs_plugin_calls_total{plugin=%q}`, k.name),
			fmt.Sprintf(`pfs_plugin_starts_total{plugin=%q}`, k.name),
			fmt.Sprintf(`pfs_plugin_call_seconds_count{plugin=%q}`, k.name),
		} {
			if !strings.Contains(text, line) {
				t.Errorf("no %s", line)
			}
		}
		w.want(200, "POST", "/unmount", fmt.Sprintf(`{"path":"/%s"}`, k.kind))
		a := w.want(200, "POST", "/plugins/unload", fmt.Sprintf(`{"library_path":%q}`, k.file))
		if !strings.Contains(a.body, `"message":"plugin unloaded successfully"`) {
			t.Error(a.body)
		}
		if p, ok := w.plugin(k.name); ok {
			t.Errorf("%+v", p)
		}
	}
	if !harness.Poll(20*time.Second, func() bool { return !strings.Contains(w.metrics(), `pfs_plugin_mounts{plugin="hellofs-`) }) {
		t.Error("figures are left of plugins that are unloaded")
	}
}

// replace puts other content where a file is.
func replace(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o700); err != nil {
		t.Fatal(err)
	}
}
