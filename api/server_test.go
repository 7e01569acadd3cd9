package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api"
	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/plugins"
	"github.com/pfs-project/pfs/vfs"
)

// TestParkedConnections go on after they have given their buffers back.
func TestParkedConnections(t *testing.T) {
	t.Parallel() // it waits for the idle time, which no pause between two requests here may reach
	s := startWith(t, api.Config{Limits: api.Limits{Warm: time.Millisecond, Idle: 6 * time.Second}})
	c := dial(t, s)
	r := bufio.NewReader(c)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := range 5 {
		body := strings.Repeat("x", 1+i*10000)
		if _, err := fmt.Fprintf(c, "PUT /api/v1/files?path=/memfs/f HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
			t.Fatal(err)
		}
		resp, got := answer(t, r, "PUT")
		if want := fmt.Sprintf("Written %d bytes", len(body)); resp.StatusCode != 200 || !strings.Contains(got, want) {
			t.Fatalf("request %d: %d %s", i, resp.StatusCode, got)
		}
		<-tick.C
	}
	if b, err := r.ReadByte(); err != io.EOF {
		t.Errorf("after the idle time: %q %v", b, err)
	}
}

// TestSplitRequest sends a request byte by byte.
func TestSplitRequest(t *testing.T) {
	s := start(t)
	c := dial(t, s)
	for _, b := range []byte(put + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\nGET /api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n") {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	r := bufio.NewReader(c)
	if resp, body := answer(t, r, "PUT"); resp.StatusCode != 200 || !strings.Contains(body, "Written 11 bytes") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, body := answer(t, r, "GET"); resp.StatusCode != 200 || !strings.Contains(body, `"version":"test"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// TestUnreadBody is followed by another request: the body is not taken for it.
func TestUnreadBody(t *testing.T) {
	s := start(t)
	c := dial(t, s)
	inner := "DELETE /api/v1/files?path=/memfs/README HTTP/1.1\r\nHost: x\r\n\r\n"
	if _, err := fmt.Fprintf(c, "POST /api/v1/files?path=/memfs/f HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"+
		"GET /api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n", len(inner), inner); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if resp, _ := answer(t, r, "POST"); resp.StatusCode != 201 {
		t.Errorf("%d", resp.StatusCode)
	}
	if resp, body := answer(t, r, "GET"); !strings.Contains(body, `"version"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	// A long one closes the connection.
	long := strings.Repeat("x", 900<<10)
	out := s.Raw(t, 30*time.Second, false, fmt.Sprintf("DELETE /api/v1/files?path=/none HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(long)), long, inner)
	if strings.Count(out, "HTTP/1.1") != 1 || !strings.Contains(out, "Connection: close") {
		t.Errorf("%q", out)
	}
	if a := s.Do(t, "GET", v1+"/stat?path=/memfs/README", ""); a.Status != 200 {
		t.Error("the body was run")
	}
}

// faulty is a plugin that panics.
func faulty(what any) vfs.Plugin {
	return vfs.Plugin{Type: "faulty", Verbs: vfs.Verbs(vfs.Write),
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.PerNode, nil },
		New:   func(vfs.Env, vfs.Config) (vfs.FileSystem, error) { return faultyFS{what}, nil }}
}

type faultyFS struct{ what any }

func (f faultyFS) Stat(_ context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	return vfs.Info{Name: p.Base(), Size: 1 << 20}, nil
}

func (f faultyFS) List(context.Context, vfs.View, vfs.Path, string, int) ([]vfs.Info, error) {
	panic(f.what)
}

func (f faultyFS) ReadAt(_ context.Context, _ vfs.View, _ vfs.Path, b []byte, off int64) (int, error) {
	if off > 500<<10 {
		panic(f.what)
	}
	return len(b), nil
}

func (f faultyFS) Do(context.Context, vfs.Op) (vfs.Result, error) {
	return vfs.Result{}, errors.New("secret of the host")
}

func TestPanics(t *testing.T) {
	var log strings.Builder
	var mu sync.Mutex
	s := apitest.Start(t, apitest.Config{API: api.Config{Log: slog.New(slog.NewTextHandler(&locked{&mu, &log}, nil))},
		Plugins: []vfs.Plugin{faulty("boom")}, Mounts: map[string]string{"/f": "faulty"}})
	a := s.Do(t, "GET", v1+"/directories?path=/f", "")
	if a.Status != 500 || strings.Contains(a.Body, "boom") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	wantError(t, a, "internal error")
	resp, err := http.Get(s.URL + v1 + "/files?path=/f/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("a body that broke off looks whole")
	}
	if a := s.Do(t, "PUT", v1+"/files?path=/f/x", "x"); a.Status != 500 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := s.Do(t, "GET", v1+"/health", ""); a.Status != 200 {
		t.Errorf("%d", a.Status)
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), a.Header.Get("X-Request-Id")) {
		t.Errorf("log: %s", log.String())
	}
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func TestStoreFaultEndsTheNode(t *testing.T) {
	s := apitest.Start(t, apitest.Config{Plugins: []vfs.Plugin{faulty(vfs.StoreFault{Err: errors.New("bad block")})},
		Mounts: map[string]string{"/f": "faulty"}})
	for _, target := range []string{"/directories?path=/f", "/files?path=/f/x"} {
		resp, err := http.Get(s.URL + v1 + target)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(resp.Body) // breaks off
		_ = resp.Body.Close()
		if f := s.Faults(); len(f) != 1 {
			t.Errorf("%s: faults %v", target, f)
		}
	}
}

// TestShutdown lets requests finish, ends idle connections, and cuts off what
// does not end in time.
func TestShutdown(t *testing.T) {
	s := start(t)
	idle, busy := dial(t, s), dial(t, s)
	if _, err := io.WriteString(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	ir, br := bufio.NewReader(idle), bufio.NewReader(busy)
	answer(t, ir, "GET")
	if _, err := io.WriteString(busy, put+"Content-Length: 5\r\n\r\nhe"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request has begun", func() bool {
		return strings.Contains(s.Do(t, "GET", "/metrics", "").Body, "pfs_http_requests_in_flight 2\n")
	})
	done := make(chan error)
	go func() { done <- s.API.Shutdown(t.Context()) }()
	if _, err := ir.ReadByte(); err != io.EOF {
		t.Errorf("idle connection: %v", err)
	}
	if _, err := io.WriteString(busy, "llo"); err != nil {
		t.Fatal(err)
	}
	if resp, _ := answer(t, br, "PUT"); resp.StatusCode != 200 || !resp.Close {
		t.Errorf("%d, close %v", resp.StatusCode, resp.Close)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := http.Get(s.URL); err == nil {
		t.Error("still listening")
	}
}

func TestShutdownLosesPatience(t *testing.T) {
	s := start(t)
	c := dial(t, s)
	if _, err := io.WriteString(c, put+"Content-Length: 5\r\n\r\nhe"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request has begun", func() bool {
		return strings.Contains(s.Do(t, "GET", "/metrics", "").Body, "pfs_http_requests_in_flight 2\n")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.API.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestHealth(t *testing.T) {
	s := start(t)
	steps(t, s, "", `GET /health -> 200 {"status":"healthy","version":"test"`,
		`GET /health -> 200 "mounts":{"total":7,"pending":0,"mounted":7,"failed":0}`, `POST /health -> 200 "ready":true`,
		`GET /ready -> 200 "ready":true`, `GET /version -> 200 "gitCommit":""`,
		`GET /capabilities -> 200 {"features":["handlefs","grep","digest","stream","touch","wait"],"version":"test"}`,
		`GET /capabilities?path=/memfs/x -> 200 "rename":true`, `GET /cluster -> 200 "node_id":"test"`,
		`GET /mounts -> 200 {"mounts":[{"path":"/dev","pluginName":"devfs","status":"mounted"`,
		`GET /plugins -> 200 "loaded_plugins":[]`, `POST /plugins/load {} -> 400 library_path is required`,
		`POST /plugins/load {"library_path":"http://x/y.so"} -> 501`, `POST /plugins/unload {"library_path":"x"} -> 501`,
		`GET /cluster/digest?index=3 -> 200 {"index":`, `GET /cluster/digest?index=x -> 400`,
		`GET /list?path=/dev -> 200 "name":"null"`)
	if a := s.Do(t, "DELETE", "/", ""); a.Status != 200 || !strings.Contains(a.Body, `"service":"PFS Server","status":"running"`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, h := range [][]string{{"If-Match", `"7"`}, {"If-Match", "*"}, {"If-None-Match", `"7"`}} {
		if a := s.Do(t, "POST", v1+"/plugins/load", `{"library_path":"x"}`, h...); a.Status != 400 || !strings.Contains(a.Body, "If-") {
			t.Errorf("a load with %v: %d %s", h, a.Status, a.Body)
		}
	}
	s.Node.SetReady(vfs.Unavailable.With("no leader is known"))
	steps(t, s, "", `GET /ready -> 503 "reason":"no leader is known"`, `GET /health -> 200 "status":"starting"`)
	s.Node.SetReady(nil)
	s.Mount(t, "/down", "broken", nil)
	steps(t, s, "", `GET /ready -> 503 "status":"degraded"`, `GET /health -> 200 "failed":1`,
		`GET /mounts -> 200 "status":"failed","error":"backend is down"`, "GET /files?path=/down/f -> 503 backend is down")
	a := s.Do(t, "GET", "/metrics", "")
	for _, want := range []string{`pfs_http_requests_total{method="GET",route="/api/v1/ready",status="503"} 2`,
		"pfs_http_request_seconds_bucket", "pfs_http_received_bytes_total"} {
		if !strings.Contains(a.Body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// TestLinks are followed wherever the contract says so, in a plugin that keeps
// them itself and in one that does not.
func TestLinks(t *testing.T) {
	for _, dir := range []string{"/memfs", "/kv/keys"} {
		s := start(t)
		d := strings.NewReplacer("@", dir)
		var lines []string
		for _, l := range []string{
			`POST /symlink?path=@/l {"target":"f"} -> 201 symlink created`,
			"PUT /files?path=@/l hello -> 200",
			"GET /files?path=@/f -> 200 hello",
			`GET /readlink?path=@/l -> 200 {"target":"f"}`,
			`GET /stat?path=@/l -> 200 "size":1,"mode":511,`,
			`GET /stat?path=@/l -> 200 "Type":"symlink"`,
			`GET /directories?path=@ -> 200 "Type":"symlink"`,
			"POST /truncate?path=@/l&size=2 -> 200", "POST /touch?path=@/l -> 200",
			"GET /files?path=@/f -> 200 he",
			`POST /digest {"algorithm":"md5","path":"@/l"} -> 200`,
			`POST /rename?path=@/l {"newPath":"@/m"} -> 200`,
			"GET /files?path=@/m -> 200 he",
			"DELETE /files?path=@/m -> 200", "GET /files?path=@/f -> 200 he",
			`POST /symlink?path=@/dir {"target":"/"} -> 201`,
			`GET /stat?path=@/dir -> 200 "isDir":true`,
			`GET /files?path=@/dir/hello/hello -> 200 Hello`,
		} {
			lines = append(lines, d.Replace(l))
		}
		steps(t, s, "", lines...)
	}
}

// TestHeldMemory is bounded for all calls together, and comes back.
func TestHeldMemory(t *testing.T) {
	s := startWith(t, api.Config{Limits: api.Limits{Held: 100_000}})
	post := func(n int) apitest.Answer {
		return s.Do(t, "POST", v1+"/write?path=/memfs/f", `{"data":"`+strings.Repeat("x", n)+`"}`, "Content-Type", "application/json")
	}
	for range 5 {
		if a := post(90_000); a.Status != 200 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		if a := post(110_000); a.Status != 429 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
}

// TestHammer is for the race detector: readers and writers of one file, its
// directory and the mounts.
func TestHammer(t *testing.T) {
	s := apitest.Start(t, apitest.Config{Plugins: plugins.Builtin(nil), Mounts: mounts})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := 0; ctx.Err() == nil; n++ {
				p := fmt.Sprintf("/memfs/f%d", i%3)
				switch i % 8 {
				case 0:
					s.Do(t, "PUT", v1+"/files?path="+p, strings.Repeat(fmt.Sprint(i%10), n%70000))
				case 1:
					s.Do(t, "GET", v1+"/directories?path=/memfs", "")
				case 2:
					s.Do(t, "POST", v1+"/mount", fmt.Sprintf(`{"fstype":"memfs","path":"/x%d"}`, i))
					s.Do(t, "POST", v1+"/unmount", fmt.Sprintf(`{"path":"/x%d"}`, i))
				case 3:
					s.Do(t, "GET", "/metrics", "")
				case 4:
					s.Do(t, "POST", v1+"/grep", `{"path":"/memfs","pattern":"77","recursive":true,"limit":2}`)
				default:
					a := s.Do(t, "GET", v1+"/files?path="+p, "")
					if a.Status == 200 && strings.Trim(a.Body, a.Body[:min(1, len(a.Body))]) != "" {
						t.Error("a mixture of two versions")
					}
				}
			}
		}()
	}
	wg.Wait()
	var d struct{ Digest string }
	if err := json.Unmarshal([]byte(s.Do(t, "GET", v1+"/cluster/digest", "").Body), &d); err != nil || d.Digest != s.Digest(t) {
		t.Error(d, err)
	}
}
