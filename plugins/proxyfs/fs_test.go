package proxyfs_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/plugins/proxyfs"
	"github.com/pfs-project/pfs/test/ports"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// server is a PFS with an empty directory /m/served.
func server(t *testing.T) string {
	s := apitest.Start(t, apitest.Config{Plugins: []vfs.Plugin{memfs.Plugin()}, Mounts: map[string]string{"/m": "memfs"}})
	cl, err := client.New(client.Config{URLs: []string{s.URL}})
	if err == nil {
		err = cl.Mkdir(t.Context(), "/m/served", 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cl.Close()
	return s.URL + "/api/v1"
}

// Test holds the plugin to the laws of all filesystems and plays its scripts,
// each mount over a server of its own.
func Test(t *testing.T) {
	p := proxyfs.Plugin()
	open := p.New
	p.New = func(e vfs.Env, _ vfs.Config) (vfs.FileSystem, error) {
		return open(e, vfs.Config{"base_url": server(t), "remote_path": "/m/served"})
	}
	vfstest.Run(t, vfstest.Subject{Plugin: p, Config: vfs.Config{"base_url": "http://127.0.0.1:1"}, Scripts: "testdata"})
}

func start(t *testing.T, e vfs.Env, c vfs.Config) (*proxyfs.FS, error) {
	f, err := proxyfs.Plugin().New(e, c)
	if err != nil {
		return nil, err
	}
	fs := f.(*proxyfs.FS)
	t.Cleanup(func() { _ = fs.Close() })
	return fs, fs.Start(t.Context())
}

func TestSettings(t *testing.T) {
	url := server(t)
	for _, c := range []struct {
		config vfs.Config
		kind   vfs.Kind // 0: it starts
		words  string
	}{
		{vfs.Config{"base_url": url}, 0, ""},
		{vfs.Config{"base_url": strings.TrimSuffix(url, "/api/v1"), "remote_path": "/m/served", "timeout": "5s"}, 0, ""},
		{vfs.Config{"base_urls": []any{"http://127.0.0.1:1", url}, "timeout": 5}, 0, ""},
		{vfs.Config{"base_url": "http://127.0.0.1:1, " + url}, 0, ""},
		{vfs.Config{}, vfs.Invalid, "base_url is required"},
		{vfs.Config{"base_url": "localhost:8080"}, vfs.Invalid, "invalid base_url"},
		{vfs.Config{"base_url": "ftp://localhost"}, vfs.Invalid, "is not the URL"},
		{vfs.Config{"base_url": url, "timeout": "0s"}, vfs.Invalid, "timeout must be positive"},
		{vfs.Config{"base_url": url, "remote_path": "/m/none"}, vfs.Invalid, "has no directory /m/none"},
		{vfs.Config{"base_url": url, "remote_path": "/m/README"}, vfs.Invalid, "not a directory"},
		{vfs.Config{"base_url": "http://127.0.0.1:1"}, vfs.Unavailable, "remote http://127.0.0.1:1 is not well"},
	} {
		_, err := start(t, vfs.Env{}, c.config)
		if vfs.KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.words) {
			t.Errorf("%v: %v", c.config, err)
		}
	}
}

// A new client is taken into use only if its server is well.
func TestReload(t *testing.T) {
	var sick atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sick.Load() {
			http.Error(w, `{"error":"the disk is on fire"}`, 500)
			return
		}
		fmt.Fprint(w, `{"name":"/","isDir":true}`)
	}))
	defer s.Close()
	fs, err := start(t, vfs.Env{}, vfs.Config{"base_url": s.URL})
	if err != nil {
		t.Fatal(err)
	}
	reload := vfs.Op{Verb: vfs.Write, Path: "/reload", Data: []byte("x")}
	if r, err := fs.Do(t.Context(), reload); err != nil || !strings.Contains(string(r.Data), "ProxyFS reloaded successfully") {
		t.Errorf("%s, %v", r.Data, err)
	}
	sick.Store(true)
	if _, err := fs.Do(t.Context(), reload); err == nil || !strings.Contains(err.Error(), "the disk is on fire") {
		t.Error(err)
	}
	sick.Store(false)
	if _, err := fs.Stat(t.Context(), nil, "/x"); err != nil {
		t.Error(err)
	}
	i, err := fs.Stat(t.Context(), nil, "/reload")
	if err != nil || i.Mode != 0o200 || i.Meta.Type != "control" || i.Meta.Content["description"] == "" || i.Meta.Content["remote-url"] != s.URL {
		t.Errorf("%+v, %v", i, err)
	}
}

// A cluster is not mounted into itself, and requests say where they have been.
func TestLoop(t *testing.T) {
	var via atomic.Value
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		via.Store(r.Header.Get("X-Pfs-Via"))
		fmt.Fprint(w, `{"name":"/","isDir":true,"cluster_id":"c1"}`)
	}))
	defer s.Close()
	id := func(s string) vfs.Env { return vfs.Env{Cluster: func() string { return s }} }
	if _, err := start(t, id("c1"), vfs.Config{"base_url": s.URL}); vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), "loop") {
		t.Error(err)
	}
	fs, err := start(t, id("c2"), vfs.Config{"base_url": s.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Stat(vfs.WithVia(t.Context(), []string{"c0"}), nil, "/x"); err != nil || via.Load() != "c0,c2" {
		t.Errorf("%v, %v", via.Load(), err)
	}
}

// A server that answers every mistake with 500 is understood by its words, and
// others keep their status and text.
func TestWords(t *testing.T) {
	answers := map[string]struct {
		status int
		body   string
		kind   vfs.Kind
		says   string
	}{
		"/gone":   {500, `{"error":"no such file or directory: /gone"}`, vfs.NotFound, "HTTP 500: no such file"},
		"/there":  {500, `{"error":"file already exists"}`, vfs.Exists, "HTTP 500: file already exists"},
		"/locked": {403, `{"error":"not for you"}`, vfs.Permission, "HTTP 403: not for you"},
		"/broken": {500, `{"error":"boom"}`, vfs.Internal, "HTTP 500: boom"},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := answers[r.URL.Query().Get("path")]
		if !ok {
			fmt.Fprint(w, `{"name":"/","isDir":true}`)
			return
		}
		http.Error(w, a.body, a.status)
	}))
	defer s.Close()
	fs, err := start(t, vfs.Env{}, vfs.Config{"base_url": s.URL})
	if err != nil {
		t.Fatal(err)
	}
	for path, a := range answers {
		_, rerr := fs.Stat(t.Context(), nil, vfs.Path(path))
		if vfs.KindOf(rerr) != a.kind || !strings.Contains(rerr.Error(), a.says) {
			t.Errorf("stat of %s: %v", path, rerr)
		}
		if a.kind == vfs.Internal {
			continue // of a change, nobody knows
		}
		if _, err := fs.Do(t.Context(), vfs.Op{Verb: vfs.Create, Path: vfs.Path(path)}); vfs.KindOf(err) != a.kind {
			t.Errorf("create of %s: %v", path, err)
		}
	}
}

// Of several servers one that is there is asked, for content as well. With none
// there, calls fail at once after some, until one finds a server again.
func TestFailover(t *testing.T) {
	serve := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"name":"/","isDir":true}`) })
	addr := ports.Free(t, 1)[0] // nobody else takes it while nobody listens
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	a, b := httptest.NewServer(serve), &httptest.Server{Listener: l, Config: &http.Server{Handler: serve, ReadHeaderTimeout: time.Minute}}
	b.Start()
	fs, err := start(t, vfs.Env{}, vfs.Config{"base_urls": []any{a.URL, b.URL}})
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	if _, err := fs.Stat(t.Context(), nil, "/x"); err != nil {
		t.Errorf("one of two is gone: %v", err)
	}
	put := func() error {
		_, err := fs.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/x", Flag: vfs.FlagCreate | vfs.FlagTruncate}, strings.NewReader("x"))
		return err
	}
	if err := put(); err != nil {
		t.Errorf("one of two is gone: %v", err)
	}
	b.Close()
	for range 3 {
		if _, err := fs.Stat(t.Context(), nil, "/x"); vfs.KindOf(err) != vfs.Unavailable || !strings.Contains(err.Error(), "does not answer") {
			t.Error(err)
		}
	}
	begun, asked := time.Now(), 0
	for range 100 {
		_, err := fs.Stat(t.Context(), nil, "/x")
		if err == nil {
			t.Error("nobody has answered")
		} else if !strings.Contains(err.Error(), "asked again in") {
			asked++ // one, each time that its pause is over
		}
	}
	if limit := 1 + int(time.Since(begun)/time.Second); asked > limit {
		t.Errorf("%d of a hundred calls asked within %d s", asked, limit)
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("a hundred calls took %v", took)
	}
	back := &http.Server{Addr: addr, Handler: serve, ReadHeaderTimeout: time.Minute}
	go func() { _ = back.ListenAndServe() }() // ends with the test
	defer back.Close()
	for begun = time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if _, err = fs.Stat(t.Context(), nil, "/x"); err == nil {
			break
		}
		if time.Since(begun) > 60*time.Second {
			t.Fatalf("the server is back, and not asked: %v", err)
		}
	}
}
