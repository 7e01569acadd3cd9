package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// wasmExample builds one of the plugins in examples/go-wasm into dir.
func wasmExample(t *testing.T, dir, name string, flags ...string) string {
	t.Helper()
	out := filepath.Join(dir, name+".wasm")
	cmd := exec.Command("go", append(append([]string{"build", "-buildmode=c-shared", "-o", out}, flags...), "./"+name)...)
	cmd.Dir = filepath.Join(harness.Root(t), "examples", "go-wasm")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return out
}

// wasmCalled builds an example that calls itself something else.
func wasmCalled(t *testing.T, dir, name, own, other string) string {
	t.Helper()
	source := filepath.Join(harness.Root(t), "examples", "go-wasm", name, "main.go")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	edited, overlay := filepath.Join(t.TempDir(), "main.go"), filepath.Join(t.TempDir(), "overlay")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{source: edited}})
	if err == nil {
		err = os.WriteFile(edited, []byte(strings.ReplaceAll(string(text), own, other)), 0o600)
	}
	if err == nil {
		err = os.WriteFile(overlay, list, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return wasmExample(t, dir, name, "-overlay", overlay)
}

// loadedPlugin is a plugin as GET /plugins shows it.
type loadedPlugin struct {
	Name     string `json:"name"`
	Path     string `json:"library_path"`
	External bool   `json:"is_external"`
	Sum      string `json:"sha256"`
	Place    string `json:"placement"`
	Limits   struct{ Call, Idle string }
	Mounted  []struct {
		Path string `json:"path"`
	} `json:"mounted_paths"`
}

func (w web) plugin(name string) (found loadedPlugin, ok bool) {
	w.t.Helper()
	var all struct {
		Plugins []loadedPlugin `json:"plugins"`
	}
	if err := json.Unmarshal([]byte(w.want(200, "GET", "/plugins?consistency=linearizable", "").body), &all); err != nil {
		w.t.Fatal(err)
	}
	i := slices.IndexFunc(all.Plugins, func(p loadedPlugin) bool { return p.Name == name })
	if i < 0 {
		return found, false
	}
	return all.Plugins[i], true
}

// A plugin from outside goes through every floor: loaded on one node, its code
// on all, mounted on the second through the third, called through the first,
// there again after a restart, and unloaded.
func TestWASMPlugin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := wasmExample(t, dir, "hello")
	c := harness.Start(t, harness.Options{Nodes: 3, Config: func(int) string {
		return fmt.Sprintf("external_plugins:\n  enabled: true\n  plugin_dir: %q\nplugins:\n  memfs: {path: /memfs}\n", dir)
	}})
	one, two, three := newWeb(t, c.Nodes[0]), newWeb(t, c.Nodes[1]), newWeb(t, c.Nodes[2])
	a := one.want(200, "POST", "/plugins/load", fmt.Sprintf(`{"library_path":%q,"grants":{"read":["/memfs/shown"]}}`, file))
	if !strings.Contains(a.body, `"plugin_name":"hellofs-go"`) || !strings.Contains(a.body, `"renamed":false`) ||
		!strings.Contains(a.body, "plugin loaded successfully") {
		t.Error(a.body)
	}
	if p, ok := three.plugin("hellofs-go"); !ok || !p.External || p.Path != file || len(p.Sum) != 64 {
		t.Errorf("%+v", p)
	}
	if err := os.Remove(file); err != nil { // every node has the code
		t.Fatal(err)
	}
	three.want(400, "POST", "/mount", `{"fstype":"hellofs-go","path":"/h","node":"n2","config":{"unknown":"x"}}`)
	three.want(400, "POST", "/mount", `{"fstype":"hellofs-go","path":"/h","config":{"from":"http://me:secret@host/"}}`)
	three.want(200, "POST", "/mount", `{"fstype":"hellofs-go","path":"/h","node":"n2","config":{"greeting":"hi"}}`)
	three.want(200, "POST", "/mount", `{"fstype":"hellofs-go","path":"/h3","node":"n3","config":{"from":"/memfs/shown"}}`)
	for _, w := range []web{one, two, three} {
		w.readsSoon("/h/hello", "hi\n")
		w.readsSoon("/h3/hello", "Hello from Go WASM plugin!\n")
	}
	for _, d := range []string{"/memfs/shown", "/memfs/hidden"} {
		one.want(201, "POST", "/directories?path="+d, "")
		one.put(d+"/f", "of the tree")
	}
	one.readsSoon("/h3/from/f", "of the tree")
	one.want(409, "POST", "/plugins/unload", fmt.Sprintf(`{"library_path":%q}`, file))
	one.want(200, "POST", "/unmount", `{"path":"/h3"}`)
	one.want(200, "POST", "/mount", `{"fstype":"hellofs-go","path":"/h4","node":"n3","config":{"from":"/memfs/hidden"}}`)
	one.want(403, "GET", "/directories?path=/h4/from", "")
	one.want(200, "POST", "/unmount", `{"path":"/h4"}`)

	c.Nodes[1].Kill()
	c.Nodes[1].Start()
	c.Ready()
	one.readsSoon("/h/hello", "hi\n")
	two.readsSoon("/h/hello", "hi\n")

	a = one.want(409, "POST", "/plugins/unload", `{"library_path":"hellofs-go"}`)
	if !strings.Contains(a.body, "mounted at /h:") {
		t.Error(a.body)
	}
	two.want(200, "POST", "/unmount", `{"path":"/h"}`)
	two.want(200, "POST", "/plugins/unload", fmt.Sprintf(`{"library_path":%q}`, file))
	if p, ok := three.plugin("hellofs-go"); ok {
		t.Errorf("%+v", p)
	}
	c.SameDigest() // the first node knows of it, too
	one.want(400, "POST", "/mount", `{"fstype":"hellofs-go","path":"/h"}`)
	c.SameDigest()
}

// readsSoon reads a file until it is as it should be: a mount starts on each node
// in its own time.
func (w web) readsSoon(path, want string) {
	w.t.Helper()
	var last string
	if !harness.Poll(90*time.Second, func() bool {
		a, err := w.do("GET", "/files?path="+path, nil)
		if err == nil {
			last = a.body
		}
		return err == nil && a.status == 200 && a.body == want
	}) {
		w.t.Errorf("%s: %q", path, last)
	}
}

// What may be loaded, and how.
func TestWASMLoad(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	file, outside := wasmExample(t, dir, "memory"), wasmExample(t, other, "hello")
	code, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]string{"open.wasm": string(code), "text.wasm": "text", "short.wasm": "\x00asm", "elf.so": "\x7fELF\x02"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link.wasm")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "open.wasm"), 0o666); err != nil {
		t.Fatal(err)
	}
	c := harness.Start(t, harness.Options{Nodes: 1, Config: func(int) string {
		return fmt.Sprintf("external_plugins:\n  enabled: true\n  plugin_dir: %q\nplugins:\n  memfs: {path: /memfs}\n", dir)
	}})
	w := newWeb(t, c.Nodes[0])
	for path, status := range map[string]int{
		outside: 403, filepath.Join(dir, "link.wasm"): 403, "/etc/passwd": 403, "../" + filepath.Base(other) + "/hello.wasm": 403,
		"/proc/self/fd/3": 403, "http://127.0.0.1:1/x.wasm": 403, filepath.Join(dir, "open.wasm"): 403,
		filepath.Join(dir, "nothing.wasm"): 404, "pfs:///memfs/nothing": 404, "pfs:///memfs": 400,
		"text.wasm": 400, "short.wasm": 400, "elf.so": 400,
	} {
		w.want(status, "POST", "/plugins/load", fmt.Sprintf(`{"library_path":%q}`, path))
	}
	w.want(400, "POST", "/plugins/load", `{"library_path":"memory.wasm","limits":{"memory":"9000GB"}}`)
	w.want(404, "POST", "/plugins/unload", `{"library_path":"memory-go"}`)

	w.want(200, "POST", "/plugins/load", `{"library_path":"memory.wasm"}`)
	w.want(200, "POST", "/mount", `{"fstype":"memory-go","path":"/m"}`)
	w.put("/m/f", strings.Repeat("0123456789", 50_000))
	if got := w.want(200, "GET", "/files?path=/m/f", "").body; len(got) != 500_000 {
		t.Errorf("%d bytes", len(got))
	}
	if got := w.want(206, "GET", "/files?path=/m/f", "", "Range", "bytes=-3").body; got != "789" {
		t.Errorf("%q", got)
	}
	w.want(200, "POST", "/unmount", `{"path":"/m"}`)
	w.want(200, "POST", "/plugins/unload", `{"library_path":"memory.wasm"}`)

	w.want(200, "POST", "/plugins/load?name=mine&instances=2", string(code))
	// A plugin that runs out of memory answers so, and is there again.
	w.want(200, "POST", "/plugins/load?memory=8MB", string(code))
	w.want(200, "POST", "/mount", `{"fstype":"memory-go","path":"/small"}`)
	crashed := false
	for n := 0; n < 8 && !crashed; n++ {
		a, err := w.patient("PUT", fmt.Sprintf("/files?path=/small/%d", n), strings.Repeat("x", 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		crashed = a.status == 502 && strings.Contains(a.body, `"code":"plugin_crashed","outcome":"unknown"`)
		if !crashed && a.status != 200 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if !crashed {
		t.Error("8 MiB fit into 8 MiB")
	}
	w.want(404, "GET", "/files?path=/small/0", "")
	w.put("/small/0", "again")
	w.want(200, "POST", "/unmount", `{"path":"/small"}`)
	w.put("/memfs/code", string(code))
	w.want(200, "POST", "/plugins/load", `{"library_path":"agfs:///memfs/code"}`) // takes its place
	if p, ok := w.plugin("memory-go"); !ok || p.Path != "agfs:///memfs/code" {
		t.Errorf("%+v", p)
	}
}
