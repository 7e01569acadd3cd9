package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api"
	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/vfs"
)

// badTransfers are inputs that take more than one request to tell, by their
// numbers.
var badTransfers = map[int]func(*testing.T){
	17: slowHeader, 18: slowBody, 19: slowReader, 20: tooManyConnections, 21: pipelined,
	24: replayAfterReset, 27: ranges, 44: longListing, 51: conditions, 61: tooManyHandles,
	65: keyReused, 66: badKeys, 67: sameKeyTwice, 82: mountTwice, 83: secretsMasked,
}

func TestBadTransfers(t *testing.T) {
	for n, f := range badTransfers {
		t.Run(fmt.Sprintf("%02d", n), f)
	}
}

// TestBadInputsCounted holds the catalogue to its size: enough of it, and all
// that a plain HTTP library gets wrong.
func TestBadInputsCounted(t *testing.T) {
	seen := map[int]bool{}
	for _, r := range badInputs {
		seen[r.n] = true
	}
	for _, w := range badWire {
		seen[w.n] = true
	}
	for n := range badTransfers {
		seen[n] = true
	}
	if len(seen) < 60 {
		t.Errorf("%d of the bad inputs are tested, want at least 60", len(seen))
	}
	for _, n := range []int{2, 4, 6, 7, 11, 13, 14, 15, 16, 17, 31, 37, 55} {
		if !seen[n] {
			t.Errorf("critical input %d is not tested", n)
		}
	}
	t.Logf("%d of the catalogue", len(seen))
}

func dial(t *testing.T, s *apitest.Server) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// answer reads one answer of a connection.
func answer(t *testing.T, r *bufio.Reader, method string) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("broken answer: %v", err)
	}
	return resp, string(b)
}

func slowHeader(t *testing.T) {
	s := startWith(t, api.Config{Limits: api.Limits{Head: 200 * time.Millisecond}})
	var wg sync.WaitGroup
	for range 50 {
		c := dial(t, s)
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-") // and no more
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || resp.StatusCode != 408 {
				t.Errorf("answer %v, %v; want 408", resp, err)
			}
		}()
	}
	eventually(t, "others are served", func() bool { // one that was slow as well is told 408
		a := s.Do(t, "GET", "/api/v1/health", "")
		if a.Status != 200 && a.Status != 408 {
			t.Errorf("another is answered %d %s", a.Status, a.Body)
		}
		return a.Status == 200
	})
	wg.Wait()
}

func slowBody(t *testing.T) {
	s := startWith(t, api.Config{Limits: api.Limits{Stall: time.Second, MinRate: 1024}})
	before := s.Digest(t)
	c := dial(t, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := io.WriteString(c, "PUT /api/v1/files?path=/memfs/f HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for err == nil { // a byte now and then, for ever
			<-tick.C
			_, err = c.Write([]byte("x"))
		}
	}()
	resp, body := answer(t, bufio.NewReader(c), "PUT")
	if resp.StatusCode != 408 || !resp.Close {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	_ = c.Close()
	<-done
	if s.Digest(t) != before {
		t.Error("the state has changed")
	}
}

// TestMovingBody is the other half of slowBody: what moves is never cut,
// however long it takes.
func TestMovingBody(t *testing.T) {
	t.Parallel() // it takes longer than a body may stand still, which is longer than a busy machine does
	s := startWith(t, api.Config{Limits: api.Limits{Stall: 5 * time.Second, Head: 5 * time.Second, MinRate: 100}})
	c := dial(t, s)
	if _, err := io.WriteString(c, "PUT /api/v1/files?path=/memfs/f HTTP/1.1\r\nHost: x\r\nContent-Length: 14000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for range 280 {
		<-tick.C
		if _, err := io.WriteString(c, strings.Repeat("x", 50)); err != nil {
			t.Fatal(err)
		}
	}
	if resp, body := answer(t, bufio.NewReader(c), "PUT"); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func slowReader(t *testing.T) {
	s := startWith(t, api.Config{Limits: api.Limits{Stall: 2 * time.Second}})
	// It is long without a long body, which could stand still, too.
	steps(t, s, "", "PUT /files?path=/memfs/f x -> 200", fmt.Sprintf("POST /truncate?path=/memfs/f&size=%d -> 200", 32<<20))
	c := dial(t, s)
	if err := c.SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /api/v1/files?path=/memfs/f HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	// The server gives up on a client that reads nothing, and frees what it
	// held: the connection is gone from its count.
	eventually(t, "the connection is cut", func() bool {
		return strings.Contains(s.Do(t, "GET", "/metrics", "").Body, "pfs_http_connections 1\n")
	})
}

// eventually waits until ok, for as long as that can take on a busy machine.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("not reached: %s", what)
		case <-tick.C:
		}
	}
}

func tooManyConnections(t *testing.T) {
	s := startWith(t, api.Config{Limits: api.Limits{Conns: 3}})
	var open []*net.TCPConn
	for range 3 {
		c := dial(t, s)
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if resp, _ := answer(t, bufio.NewReader(c), "GET"); resp.StatusCode != 200 {
			t.Fatalf("%d", resp.StatusCode)
		}
		open = append(open, c)
	}
	resp, body := answer(t, bufio.NewReader(dial(t, s)), "GET")
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !json.Valid([]byte(body)) {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	if _, err := io.WriteString(open[0], "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if resp, _ := answer(t, bufio.NewReader(open[0]), "GET"); resp.StatusCode != 200 {
		t.Errorf("an open connection does not live: %d", resp.StatusCode)
	}
}

func pipelined(t *testing.T) {
	s := start(t)
	c := dial(t, s)
	go func() {
		var b strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&b, "GET /api/v1/version HTTP/1.1\r\nHost: x\r\nX-Request-Id: r%d\r\n\r\n", i)
		}
		_, _ = io.WriteString(c, b.String())
	}()
	r := bufio.NewReader(c)
	for i := range 1000 {
		resp, _ := answer(t, r, "GET")
		if id := resp.Header.Get("X-Request-Id"); resp.StatusCode != 200 || id != fmt.Sprintf("r%d", i) {
			t.Fatalf("answer %d: %d %s", i, resp.StatusCode, id)
		}
	}
}

func replayAfterReset(t *testing.T) {
	s := start(t)
	s.Do(t, "POST", v1+"/mkdir?path=/q/jobs", "")
	lost := false
	s.Node.After(func(vfs.Request) error { // the first answer is lost
		if lost {
			return nil
		}
		lost = true
		return &vfs.Unknown{Cause: errors.New("leader was lost")}
	})
	put := func() apitest.Answer {
		return s.Do(t, "PUT", v1+"/files?path=/q/jobs/enqueue", "job", "Idempotency-Key", "k1")
	}
	a, b, c := put(), put(), put()
	if a.Status != 503 || !strings.Contains(a.Body, `"outcome":"unknown"`) {
		t.Errorf("first: %d %s", a.Status, a.Body)
	}
	if b.Status != 200 || b.Header.Get("Idempotency-Replayed") != "true" || b.Body != c.Body {
		t.Errorf("second: %d %v %s; third: %s", b.Status, b.Header, b.Body, c.Body)
	}
	if a := s.Do(t, "GET", v1+"/files?path=/q/jobs/size", ""); a.Body != "1" {
		t.Errorf("%s messages", a.Body)
	}
}

func ranges(t *testing.T) {
	s := start(t)
	put := s.Do(t, "PUT", v1+"/files?path=/memfs/f", "0123456789")
	get := func(header ...string) apitest.Answer {
		return s.Do(t, "GET", v1+"/files?path=/memfs/f", "", header...)
	}
	for _, x := range []struct {
		r      string
		status int
		body   string
	}{
		{"bytes=2-4", 206, "234"}, {"bytes=7-", 206, "789"}, {"bytes=-3", 206, "789"}, {"bytes=5-99", 206, "56789"},
		{"bytes=-99", 206, "0123456789"}, {"bytes=9-2", 200, "0123456789"}, {"bytes=0-0,1-1", 200, "0123456789"},
		{"bytes=" + strings.Repeat("0-0,", 1500) + "1-1", 200, "0123456789"}, {"lines=1-2", 200, "0123456789"},
		{"bytes=x-2", 200, "0123456789"}, {"bytes=-", 200, "0123456789"}, {"bytes=10-", 416, ""}, {"bytes=-0", 416, ""},
	} {
		a := get("Range", x.r)
		if a.Status != x.status || x.status != 416 && a.Body != x.body {
			t.Errorf("%.20s: %d %q, want %d %q", x.r, a.Status, a.Body, x.status, x.body)
		}
		if x.status == 416 && a.Header.Get("Content-Range") != "bytes */10" {
			t.Errorf("%s: Content-Range %q", x.r, a.Header.Get("Content-Range"))
		}
	}
	tag := put.Header.Get("ETag")
	if a := get("Range", "bytes=2-4", "If-Range", tag); a.Status != 206 || a.Header.Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("If-Range that holds: %d %v", a.Status, a.Header)
	}
	if a := get("Range", "bytes=2-4", "If-Range", `"1"`); a.Status != 200 {
		t.Errorf("If-Range that does not hold: %d", a.Status)
	}
	if a := get("If-None-Match", tag); a.Status != 304 || a.Body != "" || a.Header.Get("ETag") != tag {
		t.Errorf("If-None-Match: %d %q %v", a.Status, a.Body, a.Header)
	}
	if a := get("If-Modified-Since", get().Header.Get("Last-Modified")); a.Status != 304 {
		t.Errorf("If-Modified-Since: %d", a.Status)
	}
	if a := s.Do(t, "HEAD", v1+"/files?path=/memfs/f", "", "Range", "bytes=2-4"); a.Status != 206 || a.Header.Get("Content-Length") != "3" {
		t.Errorf("HEAD: %d %v", a.Status, a.Header)
	}
}

func longListing(t *testing.T) {
	s := start(t)
	const n = 1500
	for i := range n {
		out, err := s.Node.Propose(t.Context(), vfs.Request{Ops: []vfs.Op{{Verb: vfs.Create, Path: vfs.Path(fmt.Sprintf("/kv/keys/%04d", i))}}})
		if err != nil || out.Err != nil {
			t.Fatal(err, out.Err)
		}
	}
	type listing struct {
		Files []struct{ Name string }
		Next  string `json:"next_cursor"`
	}
	list := func(q string) (l listing) {
		a := s.Do(t, "GET", v1+"/directories?path=/kv/keys"+q, "")
		if err := json.Unmarshal([]byte(a.Body), &l); err != nil || a.Status != 200 {
			t.Fatalf("%d %v %.200s", a.Status, err, a.Body)
		}
		return l
	}
	if l := list(""); len(l.Files) != n || l.Next != "" {
		t.Errorf("%d entries at once, cursor %q", len(l.Files), l.Next)
	}
	got, pages, cursor := 0, 0, ""
	for {
		l := list("&limit=400" + cursor)
		for i, f := range l.Files {
			if f.Name != fmt.Sprintf("%04d", got+i) {
				t.Fatalf("entry %d is %s", got+i, f.Name)
			}
		}
		got, pages = got+len(l.Files), pages+1
		if l.Next == "" {
			break
		}
		cursor = "&cursor=" + l.Next
	}
	if got != n || pages != 4 {
		t.Errorf("%d entries in %d pages", got, pages)
	}
	if a := s.Do(t, "GET", v1+"/directories?path=/memfs"+cursor, ""); a.Status != 400 {
		t.Errorf("cursor of another directory: %d", a.Status)
	}
}

func conditions(t *testing.T) {
	s := start(t)
	put := func(body string, header ...string) apitest.Answer {
		return s.Do(t, "PUT", v1+"/files?path=/memfs/f", body, header...)
	}
	if a := put("x", "If-Match", `"7"`); a.Status != 412 {
		t.Errorf("If-Match of a missing file: %d", a.Status)
	}
	first := put("1", "If-None-Match", "*")
	if first.Status != 200 {
		t.Fatalf("If-None-Match of a missing file: %d %s", first.Status, first.Body)
	}
	tag := first.Header.Get("ETag")
	if a := put("x", "If-None-Match", "*"); a.Status != 412 || a.Header.Get("ETag") != tag ||
		!strings.Contains(a.Body, `"etag":"`+strings.Trim(tag, `"`)+`"`) {
		t.Errorf("If-None-Match of a file: %d %v %s", a.Status, a.Header, a.Body)
	}
	if a := put("2", "If-Match", tag); a.Status != 200 {
		t.Errorf("If-Match: %d %s", a.Status, a.Body)
	}
	for _, old := range []string{tag, `"99999"`, `"abc"`, `W/` + tag} {
		if a := put("x", "If-Match", old); a.Status != 412 {
			t.Errorf("If-Match %s: %d", old, a.Status)
		}
	}
	if a := put("x", "If-Match", tag, "If-None-Match", "*"); a.Status != 400 {
		t.Errorf("both: %d", a.Status)
	}
	if a := s.Do(t, "DELETE", v1+"/files?path=/memfs/f", "", "If-Match", tag); a.Status != 412 {
		t.Errorf("delete of an old version: %d", a.Status)
	}
	if a := s.Do(t, "GET", v1+"/files?path=/memfs/f", ""); a.Body != "2" {
		t.Errorf("content %q", a.Body)
	}
}

func tooManyHandles(t *testing.T) {
	s := startWith(t, api.Config{Limits: api.Limits{Handles: 5}})
	open := func(q string) apitest.Answer {
		return s.Do(t, "POST", v1+"/handles/open?path=/memfs/README"+q, "")
	}
	var last opened
	for range 5 {
		a := open("")
		if err := json.Unmarshal([]byte(a.Body), &last); err != nil || a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	a := open("")
	if a.Status != 429 || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	wantError(t, a, "too many open handles (5)")
	steps(t, s, fmt.Sprint(last.ID), `POST /handles/{h}/renew?lease=1 -> 200 "lease":1`)
	eventually(t, "leases run out", func() bool { return open("").Status == 200 })
}

func keyReused(t *testing.T) {
	s := start(t)
	put := func(path, body string) int {
		return s.Do(t, "PUT", v1+"/files?path="+path, body, "Idempotency-Key", "k").Status
	}
	if put("/memfs/f", "1") != 200 || put("/memfs/f", "1") != 200 {
		t.Error("a repeat fails")
	}
	if n := put("/memfs/f", "2"); n != 422 {
		t.Errorf("another body: %d", n)
	}
	if n := put("/memfs/g", "1"); n != 422 {
		t.Errorf("another path: %d", n)
	}
	if a := s.Do(t, "DELETE", v1+"/files?path=/memfs/f", "", "Idempotency-Key", "k"); a.Status != 422 {
		t.Errorf("another method: %d", a.Status)
	}
	if a := s.Do(t, "GET", v1+"/files?path=/memfs/f", ""); a.Body != "1" {
		t.Errorf("content %q", a.Body)
	}
	chmod := func(mode string) int {
		return s.Do(t, "POST", v1+"/chmod?path=/memfs/f", `{"mode":`+mode+`}`, "Idempotency-Key", "c").Status
	}
	if a, b, c := chmod("420"), chmod("420"), chmod("421"); a != 200 || b != 200 || c != 422 {
		t.Errorf("chmod: %d %d %d", a, b, c)
	}
	for _, x := range []string{"/mount", "/unmount"} {
		for i := range 2 {
			a := s.Do(t, "POST", v1+x, `{"fstype":"memfs","path":"/again"}`, "Idempotency-Key", x)
			if a.Status != 200 || (a.Header.Get("Idempotency-Replayed") == "true") != (i == 1) {
				t.Errorf("%s: %d %s %v", x, a.Status, a.Body, a.Header)
			}
		}
	}
}

func badKeys(t *testing.T) {
	s := start(t)
	before := s.Digest(t)
	for _, k := range []string{strings.Repeat("k", 129), "", "\u00e9", "a\tb"} {
		if a := s.Do(t, "PUT", v1+"/files?path=/memfs/f", "1", "Idempotency-Key", k); a.Status != 400 {
			t.Errorf("key %q: %d", k, a.Status)
		}
	}
	if a := s.Do(t, "PUT", v1+"/files?path=/memfs/f", "1", "Idempotency-Key", "a", "Idempotency-Key", "b"); a.Status != 400 {
		t.Errorf("two keys: %d", a.Status)
	}
	if a := s.Do(t, "PUT", v1+"/files?path=/dev/null", "1", "Idempotency-Key", "a"); a.Status != 501 {
		t.Errorf("a key outside the log: %d", a.Status)
	}
	if s.Digest(t) != before {
		t.Error("the state has changed")
	}
}

func sameKeyTwice(t *testing.T) {
	s := start(t)
	s.Do(t, "POST", v1+"/mkdir?path=/q/jobs", "")
	var wg sync.WaitGroup
	out := make([]apitest.Answer, 8)
	for i := range out {
		wg.Add(1)
		go func() {
			defer wg.Done()
			out[i] = s.Do(t, "PUT", v1+"/files?path=/q/jobs/enqueue", "m", "Idempotency-Key", "k")
		}()
	}
	wg.Wait()
	for _, a := range out {
		if a.Status != 200 || a.Body != out[0].Body || a.Header.Get("X-Pfs-Index") != out[0].Header.Get("X-Pfs-Index") {
			t.Errorf("%d %s %v, first was %s", a.Status, a.Body, a.Header, out[0].Body)
		}
	}
	if a := s.Do(t, "GET", v1+"/files?path=/q/jobs/size", ""); a.Body != "1" {
		t.Errorf("%s messages", a.Body)
	}
}

func mountTwice(t *testing.T) {
	s := start(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[int]int{}
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			a := s.Do(t, "POST", v1+"/mount", `{"fstype":"memfs","path":"/x"}`)
			mu.Lock()
			defer mu.Unlock()
			count[a.Status]++
			if a.Status == 409 {
				wantError(t, a, "mount already exists: /x")
			}
		}()
	}
	wg.Wait()
	if count[200] != 1 || count[409] != 7 {
		t.Errorf("answers %v", count)
	}
}

func secretsMasked(t *testing.T) {
	s := start(t)
	for dsn, status := range map[string]int{"root:hunter2@db": 503, "env:hunter2": 400, "sealed:v1:hunter2": 400, "file:/hunter2": 400} {
		a := s.Do(t, "POST", v1+"/mount", `{"fstype":"broken","path":"/sql","config":{"dsn":"`+dsn+`"}}`)
		if strings.Contains(a.Body, "hunter2") || a.Status != status {
			t.Errorf("secret %s is answered %d %s", dsn, a.Status, a.Body)
		}
	}
	s.Mount(t, "/sql", "broken", vfs.Config{"dsn": "env:HUNTER2_hunter2"})
	for _, target := range []string{"/mounts", "/plugins", "/health", "/ready"} {
		a := s.Do(t, "GET", v1+target, "")
		if strings.Contains(a.Body, "hunter2") {
			t.Errorf("%s shows a secret: %s", target, a.Body)
		}
		if target == "/mounts" && !strings.Contains(a.Body, `"dsn":"***"`) {
			t.Errorf("no mask: %s", a.Body)
		}
	}
}
