package test

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// nativeExamples builds those in examples/c-native into dir.
func nativeExamples(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("make", "-s", "SUFFIX=so", "OUT="+dir)
	cmd.Dir = filepath.Join(harness.Root(t), "examples", "c-native")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
}

// A native plugin goes through every floor: loaded by path on one node and by
// upload on another, mounted on the second through the third, read and written
// through the first; its process is killed, then its node; nothing of it is left.
func TestNativePlugin(t *testing.T) {
	dir := t.TempDir()
	nativeExamples(t, dir)
	old, err := os.ReadFile(filepath.Join(dir, "memory-old.so"))
	if err != nil {
		t.Fatal(err)
	}
	c := harness.Start(t, harness.Options{Nodes: 3, Config: func(int) string {
		return fmt.Sprintf("external_plugins:\n  enabled: true\n  sent_programs: true\n  plugin_dir: %q\n", dir)
	}})
	one, two, three := newWeb(t, c.Nodes[0]), newWeb(t, c.Nodes[1]), newWeb(t, c.Nodes[2])
	a := one.want(200, "POST", "/plugins/load", `{"library_path":"hello.so"}`)
	if !strings.Contains(a.body, `"plugin_name":"hellofs-c"`) || !strings.Contains(a.body, `"renamed":false`) {
		t.Error(a.body)
	}
	one.want(200, "POST", "/plugins/load", fmt.Sprintf(`{"library_path":%q}`, filepath.Join(dir, "memory.so")))
	two.want(200, "POST", "/plugins/load?name=old", string(old))
	if p, ok := three.plugin("memory-c-old"); !ok || !p.External || p.Path != "old" || len(p.Sum) != 64 {
		t.Errorf("%+v", p)
	}
	for _, f := range []string{"hello.so", "memory.so"} { // every node has them
		if err := os.Remove(filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}

	three.want(400, "POST", "/mount", fmt.Sprintf(`{"fstype":"hellofs-c","path":"/h","config":{"greeting":%q}}`, strings.Repeat("x", 201)))
	three.want(200, "POST", "/mount", `{"fstype":"hellofs-c","path":"/h","node":"n2","config":{"greeting":"hi"}}`)
	three.want(200, "POST", "/mount", `{"fstype":"hellofs-c","path":"/h2","node":"n2"}`)
	three.want(200, "POST", "/mount", `{"fstype":"memory-c","path":"/m","node":"n2"}`)
	three.want(200, "POST", "/mount", `{"fstype":"memory-c-old","path":"/old","node":"n2"}`)
	for _, w := range []web{one, two, three} {
		w.readsSoon("/h/hello", "hi\n")
		w.readsSoon("/h2/hello", "Hello from C plugin!\n")
	}
	big := strings.Repeat("0123456789abcdef", 1<<16)
	for _, p := range []string{"/m", "/old"} {
		one.upSoon(p)
		one.put(p+"/f", big)
		three.want(200, "PUT", "/files?path="+p+"/f&offset=3", "DEF")
		if got := two.want(200, "GET", "/files?path="+p+"/f", "").body; got != "012DEF"+big[6:] {
			t.Errorf("%s: %d bytes, %.20q", p, len(got), got)
		}
		one.want(404, "GET", "/files?path="+p+"/nothing", "")
		one.want(404, "GET", "/directories?path="+p+"/nothing", "")
	}

	var pids []int
	if !harness.Poll(30*time.Second, func() bool { pids = children(t, c.Nodes[1]); return len(pids) == 4 }) {
		t.Fatalf("processes %v", pids)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	one.readsSoon("/h/hello", "hi\n")
	three.readsSoon("/h2/hello", "Hello from C plugin!\n")
	if !harness.Poll(60*time.Second, func() bool {
		a, err := one.do("PUT", "/files?path=/m/again", strings.NewReader("x"))
		return err == nil && a.status == 200
	}) {
		t.Error("no write after the end of its process")
	}
	one.want(404, "GET", "/files?path=/m/f", "") // it was in its memory

	pids = children(t, c.Nodes[1])
	c.Nodes[1].Kill()
	allEnd(t, pids)
	c.Nodes[1].Start()
	c.Ready()
	one.readsSoon("/h/hello", "hi\n")

	a = one.want(409, "POST", "/plugins/unload", `{"library_path":"hello.so"}`)
	if !strings.Contains(a.body, "mounted at /h, /h2:") {
		t.Error(a.body)
	}
	two.want(200, "POST", "/unmount", `{"path":"/h"}`)
	three.readsSoon("/h2/hello", "Hello from C plugin!\n")
	for _, p := range []string{"/h2", "/m", "/old"} {
		two.want(200, "POST", "/unmount", fmt.Sprintf(`{"path":%q}`, p))
	}
	two.want(200, "POST", "/plugins/unload", `{"library_path":"hello.so"}`)
	if !harness.Poll(30*time.Second, func() bool { return len(children(t, c.Nodes[1])) == 0 }) {
		t.Errorf("processes are left: %v", children(t, c.Nodes[1]))
	}
	c.SameDigest()
}

// upSoon waits until a mount has started, for which a module may be compiled.
func (w web) upSoon(path string) {
	w.t.Helper()
	if !harness.Poll(90*time.Second, func() bool {
		a, err := w.do("GET", "/stat?path="+path, nil)
		return err == nil && a.status == 200
	}) {
		w.t.Errorf("%s does not come up", path)
	}
}

// The server depends on nothing of the system; the program that loads libraries
// does.
func TestServerStaysStatic(t *testing.T) {
	bin := harness.Build(t)
	for name, want := range map[string]bool{"pfs-server": false, "pfs": false, "pfs-plugin-host": true} {
		f, err := elf.Open(filepath.Join(bin, name))
		if err != nil {
			t.Fatal(err)
		}
		linked := slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
		if linked != want {
			t.Errorf("%s is linked with the system's C library: %v", name, linked)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What may be loaded, and where.
func TestNativeLoad(t *testing.T) {
	dir := t.TempDir()
	nativeExamples(t, dir)
	hello, err := os.ReadFile(filepath.Join(dir, "hello.so"))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]string{"short.so": "\x7fELF\x02", "cut.so": string(hello[:len(hello)/2]), "pe.dll": "MZ" + strings.Repeat("\x00", 100), "text.so": "text"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "renamed.wasm"), hello, 0o600); err != nil { // the magic number tells
		t.Fatal(err)
	}
	c := harness.Start(t, harness.Options{Nodes: 1, Config: func(int) string {
		return fmt.Sprintf("external_plugins:\n  enabled: true\n  plugin_dir: %q\nplugins:\n  memfs: {path: /memfs}\n", dir)
	}})
	w := newWeb(t, c.Nodes[0])
	for path, status := range map[string]int{"short.so": 400, "cut.so": 400, "pe.dll": 400, "text.so": 400, "renamed.wasm": 200, "nothing.so": 404} {
		w.want(status, "POST", "/plugins/load", fmt.Sprintf(`{"library_path":%q}`, path))
	}
	w.want(400, "POST", "/plugins/load", `{"library_path":"hello.so","abi":3}`)
	w.want(403, "POST", "/plugins/load", string(hello)) // whoever reaches the API is not whoever has the disk
	w.put("/memfs/hello.so", string(hello))
	w.want(403, "POST", "/plugins/load", `{"library_path":"pfs:///memfs/hello.so"}`)
	w.want(200, "POST", "/mount", `{"fstype":"hellofs-c","path":"/h"}`)
	w.readsSoon("/h/hello", "Hello from C plugin!\n")
}
