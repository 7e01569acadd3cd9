package test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// posted is a server that keeps what is posted to it.
type posted struct {
	*httptest.Server
	mu  sync.Mutex
	got []string
}

func newPosted(t *testing.T) *posted {
	t.Helper()
	p := &posted{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.got = append(p.got, r.Method+" "+r.Header.Get("X-File")+" "+string(b))
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *posted) all() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.got, ", ")
}

// A module changes the tree on every mount, wherever that lives, and posts to a
// server: as far as it is granted that, and no further. What it has changed is
// there after all nodes were killed, and the log names it.
func TestWASMGrants(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	wasmExample(t, dir, "tee")
	c := harness.Start(t, harness.Options{Nodes: 3, Config: func(int) string {
		return fmt.Sprintf("server:\n  log_level: debug\nexternal_plugins:\n  enabled: true\n  plugin_dir: %q\nplugins:\n  memfs: {path: /memfs}\n", dir)
	}})
	one, two, three := newWeb(t, c.Nodes[0]), newWeb(t, c.Nodes[1]), newWeb(t, c.Nodes[2])
	site := newPosted(t)
	host := strings.TrimPrefix(site.URL, "http://")
	load := func(grants string) {
		t.Helper()
		one.want(200, "POST", "/plugins/load", `{"library_path":"tee.wasm","grants":{`+grants+`}}`)
	}
	load(fmt.Sprintf(`"read":["/"],"write":["/memfs/kept","/local","/t2"],"http":["POST http://%s"]`, host))
	one.want(200, "POST", "/mount", fmt.Sprintf(`{"fstype":"localfs","path":"/local","node":"n3","config":{"local_dir":%q}}`, t.TempDir()))
	for path, config := range map[string]string{
		"/t": `"to":"/memfs/kept","url":"` + site.URL + `"`, "/far": `"to":"/local"`, "/hidden": `"to":"/memfs/hidden"`,
		"/self": `"to":"/self"`, "/t2": `"to":"/t2"`, "/web": `"to":"/memfs/kept","url":"http://localhost:` + host[strings.LastIndexByte(host, ':')+1:] + `"`,
	} {
		three.want(200, "POST", "/mount", fmt.Sprintf(`{"fstype":"tee-go","path":%q,"node":"n2","config":{%s}}`, path, config))
	}
	for _, d := range []string{"/memfs/kept", "/memfs/hidden"} {
		one.want(201, "POST", "/directories?path="+d, "")
	}
	for _, w := range []web{one, two, three} {
		w.soon("/t")
		w.soon("/far")
	}
	two.want(200, "PUT", "/files?path=/t/a", "kept and posted", "X-Request-Id", "who-asked")
	one.readsSoon("/memfs/kept/a", "kept and posted")
	if got := site.all(); got != "POST /a kept and posted" {
		t.Errorf("the server has got %q", got)
	}
	three.want(201, "POST", "/directories?path=/t/d", "")
	three.want(200, "POST", "/chmod?path=/t/a", `{"mode":384}`)
	three.want(200, "POST", "/rename?path=/t/a", `{"newPath":"/t/b"}`)
	one.want(200, "PUT", "/files?path=/far/x", "on the third node")
	three.readsSoon("/local/x", "on the third node")
	one.want(200, "DELETE", "/files?path=/t/d", "")
	two.want(404, "GET", "/stat?path=/memfs/kept/d", "")
	if a := one.want(200, "GET", "/stat?path=/memfs/kept/b&consistency=linearizable", ""); !strings.Contains(a.body, `"mode":384`) {
		t.Error(a.body)
	}

	refusedWrites(one)
	two.want(404, "GET", "/stat?path=/memfs/hidden/f", "")
	load(`"read":["/"]`) // its mounts start anew, without what was granted
	var last answer
	if !harness.Poll(30*time.Second, func() bool {
		a, err := one.do("PUT", "/files?path=/t/c", strings.NewReader("x"))
		last = a
		return err == nil && a.status == 403 && strings.Contains(a.body, "no grant to change it")
	}) {
		t.Errorf("%d %s", last.status, last.body)
	}
	if log, err := os.ReadFile(c.Nodes[1].Log); err != nil || !strings.Contains(string(log), "who-asked/plugin:tee-go/") {
		t.Errorf("the log does not name the plugin: %v", err)
	}
	for _, n := range c.Nodes {
		n.Kill()
	}
	for _, n := range c.Nodes {
		n.Start()
	}
	c.Ready()
	one.readsSoon("/memfs/kept/b", "kept and posted")
	c.SameDigest()
}

// refusedWrites are the writes that no grant, or a circle, lets through.
func refusedWrites(w web) {
	w.t.Helper()
	for path, text := range map[string]string{
		"/hidden/f": "no grant to change it", // a directory beside the granted one
		"/self/f":   "circle",                // it looks at itself first
		"/t2/f":     "circle",
		"/web/web":  "no grant for POST", // the same server by a name
	} {
		a, err := w.patient("PUT", "/files?path="+path, "x")
		if err != nil || a.status < 400 || !strings.Contains(a.body, text) {
			w.t.Errorf("%s: %d %s, %v", path, a.status, a.body, err)
		}
	}
}

// What is said of grants when a plugin is loaded.
func TestWASMGrantsLoad(t *testing.T) {
	dir := t.TempDir()
	wasmExample(t, dir, "hello")
	program := dir + "/program"
	if err := os.WriteFile(program, []byte("#!/bin/sh\nif [ \"$1\" = capabilities ]; then echo '{\"types\":{\"fileSystem\":[{\"type\":\"p\"}]}}'; fi\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := harness.Start(t, harness.Options{Nodes: 1, Config: func(int) string {
		return fmt.Sprintf("external_plugins:\n  enabled: true\n  plugin_dir: %q\n", dir)
	}})
	w := newWeb(t, c.Nodes[0])
	for grants, text := range map[string]string{
		`"write":["/\u0000"]`:      "grants",
		`"http":["*"]`:             "no grant for HTTP requests",
		`"http":["unix:///run/x"]`: "no grant for HTTP requests",
		`"http":["10.0.0.0/8"]`:    "no grant for HTTP requests",
		`"http":"all"`:             "invalid request body",
		`"write":["/` + strings.Repeat(`","/a`, 100) + `"]`: "at most 100",
	} {
		if a := w.want(400, "POST", "/plugins/load", `{"library_path":"hello.wasm","grants":{`+grants+`}}`); !strings.Contains(a.body, text) {
			t.Errorf("%.40s: %s", grants, a.body)
		}
	}
	if a := w.want(400, "POST", "/plugins/load", `{"library_path":"program","grants":{"write":["/x"]}}`); !strings.Contains(a.body, "WASM modules") {
		t.Error(a.body)
	}
	code, err := os.ReadFile(dir + "/hello.wasm")
	if err != nil {
		t.Fatal(err)
	}
	w.want(200, "POST", "/plugins/load?grant_read=/a&grant_write=/b&grant_write=/c&grant_http=GET+https://d:8443", string(code))
	if a := w.want(200, "GET", "/plugins", ""); !strings.Contains(a.body, `"grants":{"read":["/a"],"write":["/b","/c"],"http":["GET https://d:8443"]}`) {
		t.Error(a.body)
	}
}
