package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// processExamples builds the plugins in examples/go-http and examples/python-msgpack
// into dir as their Makefiles do.
func processExamples(t *testing.T, dir string) {
	t.Helper()
	for _, from := range []string{"go-http", "python-msgpack"} {
		copied := filepath.Join(t.TempDir(), from)
		if err := os.CopyFS(copied, os.DirFS(filepath.Join(harness.Root(t), "examples", from))); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("make", "-s", "clean", "all")
		cmd.Dir = copied
		cmd.Env = append(os.Environ(), "GOFLAGS=")
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		files, err := os.ReadDir(filepath.Join(copied, "build"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if f.Type().IsRegular() {
				if err := os.Rename(filepath.Join(copied, "build", f.Name()), filepath.Join(dir, f.Name())); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// Programs of both protocols go through every floor: loaded by path on one node,
// mounted on the second through the third, read and written through the first,
// killed, started again, and gone with their node.
func TestProcessPlugin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	processExamples(t, dir)
	c := harness.Start(t, harness.Options{Nodes: 3, Config: func(int) string {
		return fmt.Sprintf("external_plugins:\n  enabled: true\n  plugin_dir: %q\nplugins:\n  memfs: {path: /memfs}\n", dir)
	}})
	one, two, three := newWeb(t, c.Nodes[0]), newWeb(t, c.Nodes[1]), newWeb(t, c.Nodes[2])
	for _, file := range []string{"hello", "hello.pyz"} { // of a client they would be anybody's
		code, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		one.want(403, "POST", "/plugins/load?name=mine", string(code))
		one.put("/memfs/code", string(code))
		one.want(403, "POST", "/plugins/load", `{"library_path":"pfs:///memfs/code"}`)
	}
	for file, name := range map[string]string{"memory": "memory-http", "memory.pyz": "memory-py", "hello": "hellofs-http", "hello.pyz": "hellofs-py", "upper": "upper"} {
		a := one.want(200, "POST", "/plugins/load", fmt.Sprintf(`{"library_path":%q}`, file))
		if !strings.Contains(a.body, fmt.Sprintf(`"plugin_name":%q`, name)) {
			t.Error(a.body)
		}
		if err := os.Remove(filepath.Join(dir, file)); err != nil { // every node has the code
			t.Fatal(err)
		}
	}
	three.want(400, "POST", "/mount", `{"fstype":"hellofs-http","path":"/x","node":"n2","config":{"greeting":5}}`)
	a := three.want(400, "POST", "/mount", `{"fstype":"hellofs-http","path":"/x","node":"n2","config":{"unknown":"x"}}`)
	if !strings.Contains(a.body, "unknown") {
		t.Error(a.body)
	}
	a = three.want(400, "POST", "/mount", `{"fstype":"hellofs-py","path":"/x","node":"n2","config":{"unknown":"x"}}`)
	if !strings.Contains(a.body, "unknown setting unknown") {
		t.Error(a.body)
	}
	three.want(200, "POST", "/mount", `{"fstype":"hellofs-http","path":"/hh","node":"n2","config":{"greeting":"hi over HTTP"}}`)
	three.want(200, "POST", "/mount", `{"fstype":"hellofs-py","path":"/hp","node":"n2","config":{"greeting":"hi over pipes"}}`)
	big := strings.Repeat("0123456789abcdef", 200_000)
	for _, kind := range []string{"http", "py"} {
		at := "/m" + kind
		three.want(200, "POST", "/mount", fmt.Sprintf(`{"fstype":"memory-%s","path":%q,"node":"n2"}`, kind, at))
		one.soon(at)
		one.want(201, "POST", "/directories?path="+at+"/d", "")
		one.put(at+"/d/f", "of "+kind)
		one.put(at+"/big", big)
		for _, w := range []web{one, two, three} {
			w.readsSoon(at+"/d/f", "of "+kind)
			w.readsSoon(at+"/big", big)
		}
		one.want(200, "POST", "/rename?path="+at+"/d", `{"newPath":"`+at+`/e"}`)
		one.want(404, "GET", "/files?path="+at+"/d/f", "")
		one.want(200, "DELETE", "/files?path="+at+"/e&recursive=true", "")
	}
	one.readsSoon("/hh/hello", "hi over HTTP\n")
	one.readsSoon("/hp/hello", "hi over pipes\n")

	// Killed, all of them answer again; what they had in memory is gone.
	var killed []int
	if !harness.Poll(30*time.Second, func() bool { // what was started to look at a program may yet be ending
		killed = children(t, c.Nodes[1])
		return len(killed) == 4 && len(children(t, c.Nodes[0])) == 0
	}) {
		t.Fatalf("the node has the processes %v", killed)
	}
	for _, pid := range killed {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	one.readsSoon("/hh/hello", "hi over HTTP\n")
	three.readsSoon("/hp/hello", "hi over pipes\n")
	for _, at := range []string{"/mhttp", "/mpy"} {
		if !harness.Poll(60*time.Second, func() bool {
			a, err := one.do("PUT", "/files?path="+at+"/again", strings.NewReader("new"))
			return err == nil && a.status == 200
		}) {
			t.Errorf("%s takes nothing any more", at)
		}
		three.readsSoon(at+"/again", "new")
		three.want(404, "GET", "/files?path="+at+"/big", "")
	}

	// They end with their node, and come back with it.
	last, pid := children(t, c.Nodes[1]), c.Nodes[1].Pid()
	c.Nodes[1].Kill()
	allEnd(t, last)
	c.Nodes[1].Start()
	c.Ready()
	one.readsSoon("/hh/hello", "hi over HTTP\n")
	for _, pattern := range []string{"/tmp/pfs-%d-*", filepath.Join(os.TempDir(), "pfs-plugin-%d-*")} {
		var left []string
		var err error
		if !harness.Poll(30*time.Second, func() bool {
			left, err = filepath.Glob(fmt.Sprintf(pattern, pid))
			return err == nil && len(left) == 0
		}) {
			t.Errorf("the killed node left %v, %v", left, err)
		}
	}
	three.readsSoon("/hp/hello", "hi over pipes\n")

	three.want(409, "POST", "/plugins/unload", `{"library_path":"hellofs-py"}`)
	for _, at := range []string{"/hh", "/hp", "/mhttp", "/mpy"} {
		one.want(200, "POST", "/unmount", fmt.Sprintf(`{"path":%q}`, at))
	}
	for _, name := range []string{"memory-http", "memory-py", "hellofs-http", "hellofs-py"} {
		one.want(200, "POST", "/plugins/unload", fmt.Sprintf(`{"library_path":%q}`, name))
	}
	if !harness.Poll(30*time.Second, func() bool { return len(children(t, c.Nodes[1])) == 0 }) {
		t.Errorf("%v still run", children(t, c.Nodes[1]))
	}
	c.SameDigest()
}

// soon waits until there is something at a path.
func (w web) soon(path string) {
	w.t.Helper()
	var last answer
	if !harness.Poll(90*time.Second, func() bool {
		var err error
		last, err = w.do("GET", "/stat?path="+path, nil)
		return err == nil && last.status == 200
	}) {
		w.t.Fatalf("%s: %d %s", path, last.status, last.body)
	}
}

// A program that crashes at every call is left alone soon and says why; others do
// not notice, and mounted again it is tried again.
func TestProcessPluginCrashes(t *testing.T) {
	dir := t.TempDir()
	sdk, err := os.ReadFile(filepath.Join(harness.Root(t), "examples", "python-msgpack", "pfsplugin.py"))
	if err != nil {
		t.Fatal(err)
	}
	body := `
import os
class Bad(Plugin):
    name = "bad"
    def list(self, path): return [File("f", 1)]
    def stat(self, path):
        print("I cannot go on", file=sys.stderr, flush=True)
        os._exit(3)
run(Bad())
`
	if err := os.WriteFile(filepath.Join(dir, "bad"), []byte("#!/usr/bin/env python3\n"+string(sdk)+body), 0o600); err != nil {
		t.Fatal(err)
	}
	c := harness.Start(t, harness.Options{Nodes: 1, Config: func(int) string {
		return fmt.Sprintf("external_plugins:\n  enabled: true\n  plugin_dir: %q\nplugins:\n  memfs: {path: /memfs}\n", dir)
	}})
	w := newWeb(t, c.Nodes[0])
	w.put("/memfs/f", "fine")
	w.want(200, "POST", "/plugins/load", `{"library_path":"bad"}`)
	for range 2 {
		w.want(200, "POST", "/mount", `{"fstype":"bad","path":"/bad"}`)
		w.soon("/bad")
		crashed := 0
		var last answer
		if !harness.Poll(60*time.Second, func() bool {
			if last, err = w.do("GET", "/stat?path=/bad/f", nil); err != nil {
				t.Fatal(err)
			}
			if last.status == 502 && strings.Contains(last.body, "I cannot go on") && strings.Contains(last.body, "exit status 3") {
				crashed++
			}
			w.want(200, "GET", "/files?path=/memfs/f", "")
			return last.status == 503 && strings.Contains(last.body, "left alone")
		}) || crashed == 0 {
			t.Errorf("%d crashes, %d %s", crashed, last.status, last.body)
		}
		if !harness.Poll(30*time.Second, func() bool { return len(children(t, c.Nodes[0])) == 0 }) {
			t.Errorf("it runs: %v", children(t, c.Nodes[0]))
		}
		w.want(200, "POST", "/unmount", `{"path":"/bad"}`)
	}
}
