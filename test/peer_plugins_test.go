package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// wasm is a node of the test's own with examples loaded as plugins, with limits.
func (p *peer) wasm(limits string, names ...string) web {
	p.Helper()
	dir := p.TempDir()
	c := harness.Start(p.T, harness.Options{Config: func(int) string {
		return fmt.Sprintf("external_plugins: {enabled: true, plugin_dir: %q}\nplugins:\n  memfs: {path: /memfs}\n", dir)
	}})
	w := newWeb(p.T, c.Nodes[0])
	for _, name := range names {
		file := filepath.Base(wasmExample(p.T, dir, name))
		w.want(200, "POST", "/plugins/load", fmt.Sprintf(`{"library_path":%q,"limits":%s}`, file, limits))
	}
	return w
}

// up mounts a plugin and waits for it.
func (p *peer) up(w web, kind, path, config string) {
	p.Helper()
	w.want(200, "POST", "/mount", fmt.Sprintf(`{"fstype":%q,"path":%q,"config":%s}`, kind, path, config))
	if !harness.Poll(90*time.Second, func() bool { return w.shown(path).Status == "mounted" }) {
		p.Fatalf("%s: %+v", path, w.shown(path))
	}
}

// peerWASMBytes writes files of a WASM plugin in every way, many at once: each
// has its own name and its own bytes, and what is read stays what it was.
func peerWASMBytes(p *peer) {
	w := p.wasm(`{}`, "memory")
	p.up(w, "memory-go", "/m", "{}")
	long := "/m/" + strings.Repeat("a long name ", 20)
	w.put("/m/f", "0123456789")
	w.want(200, "PUT", "/files?path=/m/f&offset=3", "abc")
	w.want(200, "PUT", "/files?path=/m/f&flags=append", "end")
	w.reads("/m/f", "012abc6789end")
	w.want(200, "POST", "/truncate?path=/m/f&size=4", "")
	w.reads("/m/f", "012a")
	w.put(strings.ReplaceAll(long, " ", "%20"), strings.Repeat("more than the name ", 10_000))
	h := w.open("/m/g", "flags=66") // read and write, made if it is missing
	w.want(200, "PUT", h+"/write", strings.Repeat("x", 1000))
	w.want(200, "PUT", h+"/write?offset=10", "/m/f")
	if got := w.want(200, "GET", h+"/read?offset=8&size=8", "").body; got != "xx/m/fxx" {
		p.Errorf("a handle reads %q", got)
	}
	w.want(200, "DELETE", h, "")
	if got := fmt.Sprint(w.names("/m")); got != fmt.Sprint([]string{"README.md", long[3:], "f", "g"}) && got != fmt.Sprint([]string{long[3:], "f", "g"}) {
		p.Errorf("names: %s", got)
	}

	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			path := fmt.Sprintf("/m/own%d", i)
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for range 20 {
				want := strings.Repeat(string(rune('a'+i)), 1+r.IntN(200_000))
				if a, err := w.patient("PUT", "/files?path="+path, want); err != nil || a.status != 200 {
					p.Errorf("%v %+v", err, a)
				}
				a, err := w.patient("GET", "/files?path="+path, "")
				if err != nil || a.status != 200 || a.body != want {
					p.Errorf("%s: %d, %d bytes of %d, %v, all its own: %v", path, a.status, len(a.body), len(want), err, strings.Trim(a.body, want[:1]) == "")
				}
			}
		})
	}
	all.Wait()
}

// peerWASMInstances has many instances of one plugin answer alike: each has the
// settings of its mount, one that has crashed does not come back, and handles
// hold none.
func peerWASMInstances(p *peer) {
	w := p.wasm(`{"instances":4,"memory":"32MB"}`, "hello", "memory")
	p.up(w, "hellofs-go", "/one", `{"greeting":"of one"}`)
	p.up(w, "hellofs-go", "/two", `{"greeting":"of two"}`)
	for i := range 50 {
		w.open([]string{"/one/hello", "/two/hello"}[i%2], "")
	}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 10 {
				name := []string{"one", "two"}[i%2]
				if a, err := w.patient("GET", "/files?path=/"+name+"/hello", ""); err != nil || a.body != "of "+name+"\n" {
					p.Errorf("%s: %v %+v", name, err, a)
				}
			}
		})
	}
	all.Wait()
	// A call that wants more memory than there is ends its instance, and no other.
	p.up(w, "memory-go", "/m", "{}")
	crashed := 0
	for i := range 40 {
		a, err := w.patient("PUT", fmt.Sprintf("/files?path=/m/f%d", i), strings.Repeat("x", 7<<20))
		if err != nil || a.status != 200 && a.status != 502 {
			p.Errorf("%v %d %s", err, a.status, a.body)
		}
		if a.status == 502 {
			crashed++
		}
	}
	if crashed < 4 {
		p.Errorf("%d calls crashed an instance", crashed)
	}
	for range 20 {
		w.reads("/one/hello", "of one\n")
		w.want(200, "GET", "/directories?path=/m", "")
	}
	peerWASMAgain(p)
}

// peerWASMAgain mounts one plugin several times, and again: what is unmounted or
// loaded anew takes nothing from the others, and keeps nothing.
func peerWASMAgain(p *peer) {
	w := p.wasm(`{}`, "memory")
	p.up(w, "memory-go", "/a", "{}")
	p.up(w, "memory-go", "/b", "{}")
	w.put("/a/f", "of a")
	w.want(404, "GET", "/files?path=/b/f", "")
	w.put("/b/f", "of b")
	w.want(200, "POST", "/unmount", `{"path":"/b"}`)
	w.reads("/a/f", "of a")
	w.want(409, "POST", "/plugins/unload", `{"library_path":"memory-go"}`)
	w.reads("/a/f", "of a")
	p.up(w, "memory-go", "/b", "{}")
	w.want(404, "GET", "/files?path=/b/f", "")
	w.want(200, "POST", "/unmount", `{"path":"/b"}`)
	w.want(200, "POST", "/unmount", `{"path":"/a"}`)
	w.want(200, "POST", "/plugins/unload", `{"library_path":"memory-go"}`)
	w.want(200, "POST", "/plugins/load", `{"library_path":"memory.wasm"}`)
	p.up(w, "memory-go", "/a", "{}")
	w.want(404, "GET", "/files?path=/a/f", "")

	// A plugin that calls itself as a built-in one does takes nothing from that.
	w.put("/memfs/f", "of memfs")
	module, err := os.ReadFile(wasmCalled(p.T, p.TempDir(), "hello", "hellofs-go", "memfs"))
	if err != nil {
		p.Fatal(err)
	}
	if a := w.want(200, "POST", "/plugins/load?name=late", string(module)); !strings.Contains(a.body, `"plugin_name":"memfs-1"`) || !strings.Contains(a.body, `"renamed":true`) {
		p.Errorf("loaded as %s", a.body)
	}
	p.up(w, "memfs", "/built-in", "{}")
	p.up(w, "memfs-1", "/late", "{}")
	w.put("/built-in/f", "of another memfs")
	w.reads("/late/hello", "Hello from Go WASM plugin!\n")
	w.reads("/memfs/f", "of memfs")
}
