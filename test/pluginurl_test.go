package test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// Code is loaded from another server only if the configuration names it and the
// request says what must come.
func TestPluginURL(t *testing.T) {
	t.Parallel()
	code, err := os.ReadFile(wasmExample(t, t.TempDir(), "hello"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(code)
	right, wrong := hex.EncodeToString(sum[:]), strings.Repeat("0", 64)
	var elsewhereAsked, gone atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhereAsked.Add(1)
		_, _ = w.Write(code)
	}))
	defer elsewhere.Close()
	mux := http.NewServeMux()
	send := func(w http.ResponseWriter, b []byte) { _, _ = w.Write(b) } // who leaves is not missed
	mux.HandleFunc("/hello.wasm", func(w http.ResponseWriter, _ *http.Request) { send(w, code) })
	mux.Handle("/moved", http.RedirectHandler("/hello.wasm", 302))
	mux.Handle("/out", http.RedirectHandler(elsewhere.URL+"/hello.wasm", 302))
	mux.Handle("/round", http.RedirectHandler("/round", 302))
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { send(w, make([]byte, 17<<20)) })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			send(w, make([]byte, 1<<20))
		}
	})
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			send(w, []byte{0})
			_ = http.NewResponseController(w).Flush()
			time.Sleep(50 * time.Millisecond)
		}
		gone.Add(1)
	})
	allowed := httptest.NewServer(mux)
	defer allowed.Close()
	secure := httptest.NewUnstartedServer(mux)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // the handshake that fails
	secure.StartTLS()
	defer secure.Close()
	c := harness.Start(t, harness.Options{Nodes: 1, Config: func(int) string {
		return fmt.Sprintf("external_plugins: {enabled: true, allow_hosts: [%q, %q], fetch_timeout: 20s}\n",
			strings.TrimPrefix(allowed.URL, "http://"), strings.TrimPrefix(secure.URL, "https://"))
	}})
	w := newWeb(t, c.Nodes[0])
	for _, k := range []struct {
		url, sum string
		status   int
		has      string
	}{
		{allowed.URL + "/hello.wasm", "", 400, "sha256 is required"},
		{allowed.URL + "/hello.wasm", "12", 400, "64 hexadecimal digits"},
		{allowed.URL + "/hello.wasm", wrong, 403, "its sha256 is " + right},
		{elsewhere.URL + "/hello.wasm", right, 403, "not in external_plugins.allow_hosts"},
		{allowed.URL + "/out", right, 403, "not in external_plugins.allow_hosts"},
		{strings.Replace(allowed.URL, "http://", "http://me:secret@", 1) + "/hello.wasm", right, 400, "must not hold a password"},
		{"ftp://127.0.0.1/hello.wasm", right, 400, "use http, https or pfs"},
		{"http://127.0.0.1/hello.wasm", right, 403, "127.0.0.1:80"},
		{allowed.URL + "/round", right, 400, "redirects"},
		{allowed.URL + "/long", right, 413, "at most"},
		{allowed.URL + "/endless", right, 413, "at most"},
		{allowed.URL + "/nothing", right, 404, "no such file"},
		{allowed.URL + "/broken", right, 503, "answers 500"},
		{allowed.URL + "/slow?key=secret", right, 504, "did not arrive"},
		{secure.URL + "/hello.wasm", right, 403, "is not trusted"},
	} {
		a := w.want(k.status, "POST", "/plugins/load", fmt.Sprintf(`{"library_path":%q,"sha256":%q}`, k.url, k.sum))
		if !strings.Contains(a.body, k.has) || strings.Contains(a.body, "secret") {
			t.Errorf("%s: %s", k.url, a.body)
		}
	}
	if elsewhereAsked.Load() != 0 {
		t.Error("a server was asked that is not allowed")
	}
	if !harness.Poll(30*time.Second, func() bool { return gone.Load() > 0 }) {
		t.Error("a fetch goes on that was given up")
	}
	var name, said string
	if !harness.Poll(60*time.Second, func() bool { // the node may be too busy with what it compiles
		var code int
		name, said, code = cli(t, c.Nodes[0], c.Bin, "-q", "plugin", "load", allowed.URL+"/moved?key=secret", "--sha256", strings.ToUpper(right))
		return code == 0
	}) || name != "hellofs-go\n" {
		t.Errorf("%q %s", name, said)
	}
	if p, _ := w.plugin("hellofs-go"); p.Path != allowed.URL+"/moved" || p.Sum != right {
		t.Errorf("%+v", p)
	}
	// What is damaged is not run, and here nobody has it in one piece.
	w.want(200, "POST", "/mount", `{"fstype":"hellofs-go","path":"/hello"}`)
	c.Nodes[0].Kill()
	files := chunkFiles(t, c.Nodes[0])
	for _, f := range files {
		spoil(t, f)
	}
	c.Nodes[0].Start() // it is not ready with a mount that is down
	if len(files) == 0 || !harness.Poll(60*time.Second, func() bool {
		a, err := w.do("GET", "/files?path=/hello/hello", nil)
		return err == nil && a.status == 503 && strings.Contains(a.body, "content is not here and cannot be fetched")
	}) {
		t.Errorf("%d chunks, damaged: %+v", len(files), w.shown("/hello"))
	}
	w.want(200, "POST", "/unmount", `{"path":"/hello"}`)
	w.want(200, "POST", "/plugins/unload", fmt.Sprintf(`{"library_path":%q}`, allowed.URL+"/moved?key=other"))
}
