package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// logged is what a node logs, to be read while it runs.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startNode starts a node on free ports of loopback and waits until it serves;
// the test stops it.
func startNode(t testing.TB, args ...string) (n *node, log *logged, stop func() int) {
	t.Helper()
	n, log, stop = launch(t, args...)
	awaitReady(t, n)
	return n, log, stop
}

// launch starts a node that may have to wait for others.
func launch(t testing.TB, args ...string) (n *node, log *logged, stop func() int) {
	t.Helper()
	args = append([]string{"-addr", "127.0.0.1:0", "-raft-addr", "127.0.0.1:0", "-node-id", "n1",
		"-data-dir", filepath.Join(t.TempDir(), "data")}, args...)
	o, err := readOptions(args, none, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	log = &logged{}
	ctx, cancel := context.WithCancel(context.Background())
	if n, err = start(ctx, o, log); err != nil {
		t.Fatal(err)
	}
	code := make(chan int, 1)
	go func() { code <- n.run(ctx) }()
	stop = sync.OnceValue(func() int { cancel(); return <-code })
	t.Cleanup(func() {
		if c := stop(); c != exitOK {
			t.Errorf("the node ended with %d:\n%s", c, log)
		}
	})
	return n, log, stop
}

func awaitReady(t testing.TB, n *node) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); n.cluster.Ready() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not ready: %v", n.cluster.Ready())
		}
	}
}

func get(t *testing.T, a net.Addr, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + a.String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// The admin listener has what operators ask, on loopback unless a host was
// named, and the port of the API has no profiles.
func TestAdminListener(t *testing.T) {
	n, log, stop := startNode(t, "-admin-addr", ":0")
	if a := n.adminAt.(*net.TCPAddr); !a.IP.IsLoopback() {
		t.Errorf("without a host it listens on %s", a)
	}
	for path, want := range map[string]string{
		"/healthz": "ok\n", "/livez": "ok\n", "/readyz": "ok\n", "/metrics": "\npfs_http_connections ",
		"/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile:", "/debug/pprof/cmdline": "server.test",
	} {
		if code, body := get(t, n.adminAt, path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("admin %s: %d %.200s; want %q", path, code, body, want)
		}
	}
	for path, want := range map[string]int{"/healthz": 200, "/livez": 200, "/readyz": 200, "/debug/pprof/": 404, "/debug/pprof/heap": 404} {
		if code, body := get(t, n.listener.Addr(), path); code != want || code == 200 && body != "ok\n" {
			t.Errorf("API %s: %d %q; want %d", path, code, body, want)
		}
	}
	if strings.Contains(log.String(), "other machines") {
		t.Error("a listener on loopback was warned of")
	}
	if code := stop(); code != exitOK {
		t.Fatalf("the node ended with %d:\n%s", code, log)
	}
	if f, err := n.figures.Gather(); len(f) != 0 || err != nil {
		t.Errorf("a stopped node was asked for its figures: %d, %v", len(f), err)
	}
	if resp, err := http.Get("http://" + n.adminAt.String() + "/debug/pprof/cmdline"); err == nil {
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if strings.Contains(string(b), "server.test") { // else somebody else has the port by now
			t.Error("the admin listener outlives the node")
		}
	}
}

func TestAdminListenerIsOffAndWarnsOfOthers(t *testing.T) {
	n, _, _ := startNode(t)
	if n.admin != nil {
		t.Error("there is an admin listener that nobody asked for")
	}
	n, log, _ := startNode(t, "-admin-addr", "0.0.0.0:0")
	if n.admin == nil || !strings.Contains(log.String(), "other machines can reach the admin listener") {
		t.Errorf("no warning:\n%s", log)
	}
}
