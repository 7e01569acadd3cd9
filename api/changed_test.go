package api_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api"
	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/vfs"
)

// proposals counts what is proposed.
func proposals(s *apitest.Server) *atomic.Int64 {
	var n atomic.Int64
	s.Node.Refuse(func(vfs.Request) error { n.Add(1); return nil })
	return &n
}

// A read that names what it knows is held until each kind of change, and is then
// answered as any other.
func TestChangeIsWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		known, stat, read string // the file's state before; what stat and read answer after
		change            []string
	}{
		"written":             {"tag", `200 "size":3`, "200 new", []string{"PUT /files?path=/memfs/d/f new -> 200"}},
		"appended":            {"tag", `200 "size":6`, "200 oldnew", []string{"PUT /files?path=/memfs/d/f&flags=append new -> 200"}},
		"other mode":          {"tag", `200 "mode":256`, "200 old", []string{`POST /chmod?path=/memfs/d/f {"mode":256} -> 200`}},
		"removed":             {"tag", "404 ", "404 ", []string{"DELETE /files?path=/memfs/d/f -> 200"}},
		"removed with all":    {"tag", "404 ", "404 ", []string{"DELETE /files?path=/memfs/d&recursive=true -> 200"}},
		"renamed":             {"tag", "404 ", "404 ", []string{`POST /rename?path=/memfs/d/f {"newPath":"/memfs/g"} -> 200`}},
		"directory renamed":   {"tag", "404 ", "404 ", []string{`POST /rename?path=/memfs/d {"newPath":"/memfs/e"} -> 200`}},
		"replaced":            {"tag", `200 "size":5`, "200 other", []string{`POST /rename?path=/memfs/other {"newPath":"/memfs/d/f"} -> 200`}},
		"unmounted":           {"tag", "404 ", "404 ", []string{`POST /unmount {"path":"/memfs"} -> 200`}},
		"mounted over":        {"tag", "404 ", "404 ", []string{`POST /mount {"fstype":"memfs","path":"/memfs/d"} -> 200`}},
		"any, till it goes":   {"*", "404 ", "404 ", []string{"PUT /files?path=/memfs/d/f new -> 200", "DELETE /files?path=/memfs/d/f -> 200"}},
		"made":                {`"0"`, `200 "size":3`, "200 new", []string{"PUT /files?path=/memfs/d/f new -> 200"}},
		"made with all":       {`"0"`, `200 "size":3`, "200 new", []string{"POST /directories?path=/memfs/x -> 201", "PUT /files?path=/memfs/x/f new -> 200", `POST /rename?path=/memfs/x {"newPath":"/memfs/d"} -> 200`}},
		"made in a new mount": {`"0"`, "200 ", "200 ", []string{`POST /mount {"fstype":"memfs","path":"/memfs/d"} -> 200`, "PUT /files?path=/memfs/d/f new -> 200"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.Do(t, "PUT", v1+"/files?path=/memfs/other", "other")
			known := c.known
			switch {
			case known != `"0"`:
				s.Do(t, "POST", v1+"/directories?path=/memfs/d", "")
				a := s.Do(t, "PUT", v1+"/files?path=/memfs/d/f", "old")
				if known == "tag" {
					known = a.Header.Get("ETag")
				}
			case !strings.Contains(name, "with all"):
				s.Do(t, "POST", v1+"/directories?path=/memfs/d", "")
			}
			got := map[string]chan apitest.Answer{"/stat": make(chan apitest.Answer, 1), "/files": make(chan apitest.Answer, 1)}
			for route, to := range got {
				go func() { to <- s.Do(t, "GET", v1+route+"?path=/memfs/d/f&wait=30s", "", "If-None-Match", known) }()
			}
			waiting(t, s, 2)
			steps(t, s, "", c.change...)
			for route, want := range map[string]string{"/stat": c.stat, "/files": c.read} {
				status, has, _ := strings.Cut(want, " ")
				a := <-got[route]
				if fmt.Sprint(a.Status) != status || !strings.Contains(a.Body, has) || a.Status == 200 && (a.Header.Get("ETag") == known || a.Header.Get("X-Pfs-File") == "") {
					t.Errorf("%s: %d %s %v", route, a.Status, a.Body, a.Header)
				}
			}
			waiting(t, s, 0)
		})
	}
}

// While nothing changes nothing is answered, nothing is proposed, and in the end
// it is 304.
func TestChangeIsWaitedForInVain(t *testing.T) {
	s := start(t)
	tag := s.Do(t, "PUT", v1+"/files?path=/memfs/f", "text").Header.Get("ETag")
	s.Do(t, "PUT", v1+"/files?path=/memfs/g", "text")
	tried := proposals(s)
	for _, c := range []struct{ target, known string }{{"/stat?path=/memfs/f", tag}, {"/files?path=/memfs/f", "W/" + tag},
		{"/stat?path=/memfs/f", "*"}, {"/stat?path=/memfs/f", `"1", ` + tag}, {"/stat?path=/memfs/no", `"0"`}, {"/files?path=/no/where", `"0"`}} {
		for _, wait := range []string{"0", "50ms"} {
			a := s.Do(t, "GET", v1+c.target+"&wait="+wait, "", "If-None-Match", c.known)
			if a.Status != 304 || a.Body != "" || a.Header.Get("X-Pfs-Index") == "" {
				t.Errorf("%s %s wait=%s: %d %s", c.target, c.known, wait, a.Status, a.Body)
			}
			if want := c.known; strings.HasPrefix(want, `"`) && want == tag && a.Header.Get("ETag") != tag {
				t.Errorf("%s: no ETag in %v", c.target, a.Header)
			}
		}
	}
	if n := tried.Load(); n != 0 {
		t.Errorf("%d proposals", n)
	}
	// Of what the client does not know, or knows to be missing, it hears at once.
	for target, want := range map[string]int{"/stat?path=/memfs/f": 200, "/stat?path=/memfs/no": 404, "/files?path=/memfs/f": 200} {
		if a := s.Do(t, "GET", v1+target+"&wait=30s", "", "If-None-Match", `"99999999"`); a.Status != want {
			t.Errorf("%s: %d %s", target, a.Status, a.Body)
		}
	}
	steps(t, s, "", "GET /stat?path=/memfs/f&wait=30s -> 200", "GET /files?path=/memfs/f&wait=30s -> 200 text")
	if a := s.Do(t, "GET", v1+"/stat?path=/memfs/f&wait=soon", "", "If-None-Match", tag); a.Status != 400 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	// Changes beside it wake nobody; a link is followed by a read alone.
	steps(t, s, "", `POST /symlink?path=/memfs/link {"target":"/memfs/f"} -> 201`)
	got := make(chan apitest.Answer, 1)
	go func() {
		got <- s.Do(t, "GET", v1+"/files?path=/memfs/link&wait=30s&offset=4", "", "If-None-Match", tag)
	}()
	waiting(t, s, 1)
	steps(t, s, "", "PUT /files?path=/memfs/g more -> 200")
	if len(got) != 0 {
		t.Errorf("woken by another file: %+v", <-got)
	}
	steps(t, s, "", "PUT /files?path=/memfs/f&flags=append +more -> 200")
	if a := <-got; a.Status != 200 || a.Body != "+more" || a.Header.Get("X-Pfs-Size") != "9" {
		t.Errorf("%d %q %v", a.Status, a.Body, a.Header)
	}
}

// What is outside the log has no versions to wait with; what is consumed waits
// in its own way; those who wait are bounded, may leave, and do not hold a
// server that stops.
func TestChangeWaitersAreBounded(t *testing.T) {
	s := startWith(t, api.Config{Limits: api.Limits{Waits: 1}})
	tag := s.Do(t, "PUT", v1+"/files?path=/memfs/f", "text").Header.Get("ETag")
	s.Do(t, "POST", v1+"/mkdir?path=/q/jobs", "")
	steps(t, s, "", `POST /symlink?path=/memfs/out {"target":"/info"} -> 201`, `POST /symlink?path=/memfs/no {"target":"/info/no"} -> 201`)
	for path, known := range map[string]string{"/info/uptime": "*", "/info/no": `"0"`, "/memfs/out/uptime": "*", "/memfs/out/no": `"0"`} {
		if a := s.Do(t, "GET", v1+"/stat?path="+path+"&wait=10s", "", "If-None-Match", known); a.Status != 501 || !strings.Contains(a.Body, "ask again from time to time") {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	if a := s.Do(t, "GET", v1+"/files?path=/memfs/no&wait=10s", "", "If-None-Match", `"0"`); a.Status != 501 {
		t.Errorf("behind a link: %d %s", a.Status, a.Body)
	}
	if a := s.Do(t, "GET", queue+"take&wait=50ms", "", "If-None-Match", "*"); a.Status != 200 || a.Body != "{}" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	first := dial(t, s)
	if _, err := io.WriteString(first, "GET "+v1+"/stat?path=/memfs/f&wait=30s HTTP/1.1\r\nHost: x\r\nIf-None-Match: "+tag+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	waiting(t, s, 1)
	if a := s.Do(t, "GET", v1+"/stat?path=/memfs/f&wait=30s", "", "If-None-Match", tag); a.Status != 429 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	_ = first.Close()
	waiting(t, s, 0)
	got := make(chan apitest.Answer, 1)
	go func() { got <- s.Do(t, "GET", v1+"/stat?path=/memfs/f&wait=60s", "", "If-None-Match", tag) }()
	waiting(t, s, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.API.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if a := <-got; a.Status != 304 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// held returns how many bytes are held.
func held(t *testing.T, s *apitest.Server) (n int) {
	t.Helper()
	m := s.Do(t, "GET", "/metrics", "").Body
	_, m, _ = strings.Cut(m, "\npfs_http_held_bytes ")
	if _, err := fmt.Sscan(m, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// What is watched for those who wait is held in the budget, and is little: the
// table of mounts is one thing, however deep a path is.
func TestChangeWaitersHoldMemory(t *testing.T) {
	s := startWith(t, api.Config{Limits: api.Limits{Held: 32 << 10}})
	deep := strings.Repeat("/d", 250)
	for i := 2; i <= len(deep); i += 2 {
		s.Do(t, "POST", v1+"/mkdir?path=/memfs"+deep[:i], "")
	}
	if a := s.Do(t, "GET", v1+"/stat?path=/memfs"+deep+"/f&wait=30s", "", "If-None-Match", `"0"`); a.Status != 429 || !strings.Contains(a.Body, "held in memory") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if n := held(t, s); n != 0 {
		t.Errorf("%d bytes are held for nobody", n)
	}
	got := make(chan apitest.Answer, 1)
	go func() { got <- s.Do(t, "GET", v1+"/stat?path=/later"+deep+"&wait=30s", "", "If-None-Match", `"0"`) }()
	waiting(t, s, 1)
	if n := held(t, s); n == 0 || n > 4<<10 {
		t.Errorf("%d bytes are held for one who waits", n)
	}
	steps(t, s, "", `POST /mount {"fstype":"memfs","path":"/other"} -> 200`, `POST /mount {"fstype":"memfs","path":"/later`+deep+`"} -> 200`)
	if a := <-got; a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	waiting(t, s, 0)
	if n := held(t, s); n != 0 {
		t.Errorf("%d bytes are held for nobody", n)
	}
}
