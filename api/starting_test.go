package api_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api"
	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/plugins"
	"github.com/pfs-project/pfs/vfs"
)

// late is a Device that must be started, with one file.
type late struct {
	mu   sync.Mutex
	data []byte
}

func (l *late) Start(context.Context) error { return nil }

func (l *late) Stat(_ context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch p {
	case vfs.Root:
		return vfs.Info{Name: "/", Mode: vfs.ModeDir | 0o755}, nil
	case "/f":
		return vfs.Info{Name: "f", Mode: 0o644, Size: int64(len(l.data))}, nil
	}
	return vfs.Info{}, vfs.NotFound
}

func (l *late) List(context.Context, vfs.View, vfs.Path, string, int) ([]vfs.Info, error) {
	return []vfs.Info{{Name: "f", Mode: 0o644}}, nil
}

func (l *late) ReadAt(_ context.Context, _ vfs.View, _ vfs.Path, b []byte, off int64) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.NewReader(string(l.data)).ReadAt(b, off)
}

func (l *late) Do(_ context.Context, op vfs.Op) (vfs.Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.data = append(l.data[:min(op.Off, int64(len(l.data)))], op.Data...)
	return vfs.Result{N: int64(len(op.Data))}, nil
}

// startLate serves a mount at /late that is not up before up is called.
func startLate(t *testing.T, l api.Limits) (s *apitest.Server, upped *atomic.Bool, up func(fs vfs.FileSystem, err error)) {
	t.Helper()
	p := vfs.Plugin{Type: "latefs", Verbs: vfs.Verbs(vfs.Write), Place: func(vfs.Config) (vfs.Placement, error) { return vfs.PerNode, nil },
		New: func(vfs.Env, vfs.Config) (vfs.FileSystem, error) { return &late{}, nil }}
	s = apitest.Start(t, apitest.Config{API: api.Config{Version: "test", Limits: l}, Plugins: append(plugins.Builtin(nil), p),
		Mounts: map[string]string{"/late": "latefs", "/memfs": "memfs"}})
	upped = new(atomic.Bool)
	return s, upped, func(fs vfs.FileSystem, err error) {
		upped.Store(true)
		for _, m := range s.Node.Machine.Mounts() {
			if m.Path == "/late" && !s.Node.Machine.SetFS(m, fs, err) {
				t.Error("there is no mount")
			}
		}
	}
}

// asks asks until the answer is another one than that the mount is starting still,
// which is given after the time that a request waits, and not before. One that still
// waited when the mount was up was to be woken.
func asks(t *testing.T, s *apitest.Server, upped *atomic.Bool, method, route, body string) apitest.Answer {
	t.Helper()
	for {
		begun := time.Now()
		r := s.Do(t, method, v1+route, body)
		if upped.Load() || r.Status != 503 || !strings.Contains(r.Body, "starting") || time.Since(begun) < 3*time.Second {
			return r
		}
	}
}

// Requests of all sorts wait for a mount that starts, with their bodies, and are
// answered once; those for others do not wait.
func TestWaitsForStart(t *testing.T) {
	s, upped, up := startLate(t, api.Limits{})
	content := strings.Repeat("0123456789", 30_000)
	if r := s.Do(t, "POST", v1+"/symlink?path=/memfs/link", `{"target":"/late/f"}`); r.Status/100 != 2 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	var wg sync.WaitGroup
	var answered atomic.Int32
	ask := func(status int, method, route, body, has string) {
		wg.Go(func() {
			r := asks(t, s, upped, method, route, body)
			answered.Add(1)
			if r.Status != status || !strings.Contains(string(r.Body), has) {
				t.Errorf("%s %s: %d %.200s", method, route, r.Status, r.Body)
			}
		})
	}
	ask(200, "PUT", "/files?path=/late/f", content, "Written 300000 bytes")
	ask(200, "GET", "/stat?path=/late", "", `"isDir":true`)
	ask(200, "GET", "/directories?path=/late", "", `"f"`)
	ask(200, "GET", "/stat?path=/late/f", "", `"name":"f"`)
	ask(200, "GET", "/files?path=/memfs/link", "", "")
	ask(200, "POST", "/digest", `{"algorithm":"md5","path":"/late/f"}`, `"digest"`)
	ask(200, "POST", "/grep", `{"path":"/late/f","pattern":"none"}`, `"count":0`)
	ask(501, "DELETE", "/files?path=/late/f", "", "not supported")
	held := func() bool {
		return strings.Contains(string(s.Do(t, "GET", "/metrics", "").Body), "pfs_http_waiting_requests 7\n")
	}
	eventually(t, "all wait at once", held)
	if n := answered.Load(); n > 1 { // the one that is no verb of the mount
		t.Errorf("%d are answered before it is up", n)
	}
	up(&late{}, nil)
	wg.Wait()
	if r := s.Do(t, "GET", v1+"/files?path=/late/f", ""); string(r.Body) != content {
		t.Errorf("%d bytes", len(r.Body))
	}
}

// Who waits hears that the start has failed, and not later than after 3 s that it
// takes long; who leaves, and who is one too many, does not wait.
func TestWaitsNoLonger(t *testing.T) {
	s, upped, up := startLate(t, api.Limits{Waits: 2})
	done := make(chan apitest.Answer, 2)
	for range 2 {
		go func() { done <- asks(t, s, upped, "GET", "/files?path=/late/f", "") }()
	}
	waiting(t, s, 2)
	if r := s.Do(t, "GET", v1+"/files?path=/late/f", ""); r.Status != 503 || !strings.Contains(string(r.Body), "starting") {
		t.Errorf("one too many: %d %s", r.Status, r.Body)
	}
	up(nil, &vfs.Down{Cause: errors.New("it is broken"), Tries: 1})
	for range 2 {
		if r := <-done; r.Status != 503 || !strings.Contains(string(r.Body), "it is broken") {
			t.Errorf("a start that failed: %d %s", r.Status, r.Body)
		}
	}
	up(nil, &vfs.Down{Cause: vfs.ErrStarting})
	var c net.Conn
	eventually(t, "one waits", func() bool { // not each is seen while it does, on a busy machine
		c = dial(t, s)
		if _, err := fmt.Fprintf(c, "GET %s/stat?path=/late HTTP/1.1\r\nHost: x\r\n\r\n", v1); err != nil {
			t.Fatal(err)
		}
		for begun := time.Now(); time.Since(begun) < 3*time.Second; time.Sleep(5 * time.Millisecond) {
			if strings.Contains(s.Do(t, "GET", "/metrics", "").Body, "pfs_http_waiting_requests 1\n") {
				return true
			}
		}
		_ = c.Close() // it is answered
		return false
	})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	waiting(t, s, 0)
	if r := s.Do(t, "GET", v1+"/stat?path=/late", ""); r.Status != 503 || !strings.Contains(string(r.Body), "starting") {
		t.Errorf("it never starts: %d %s", r.Status, r.Body)
	}
}
