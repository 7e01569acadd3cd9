package api_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api"
	"github.com/pfs-project/pfs/vfs"
)

func TestWriteFlags(t *testing.T) {
	s := start(t)
	steps(t, s, "",
		"PUT /files?path=/memfs/f 0123456789 -> 200 Written 10 bytes",
		"PUT /files?path=/memfs/f&offset=3 xy -> 200 Written 2 bytes",
		"GET /files?path=/memfs/f -> 200 012xy56789",
		"PUT /files?path=/memfs/f&flags=append Z -> 200",
		"GET /files?path=/memfs/f -> 200 012xy56789Z",
		"PUT /files?path=/memfs/g&flags=append Z -> 404",
		"PUT /files?path=/memfs/g&flags=append,create Z -> 200",
		"PUT /files?path=/memfs/g&flags=exclusive Z -> 409 file already exists: /memfs/g",
		"PUT /files?path=/memfs/h&flags=exclusive,create,sync Z -> 200",
		"PUT /files?path=/memfs/h&flags=create,truncate -> 200 Written 0 bytes",
		"PUT /files?path=/memfs/h&flags=banana Z -> 400",
		"PUT /files?path=/memfs/h&flags=append&offset=1 Z -> 400",
		"PUT /files?path=/memfs/i&offset=5 Z -> 200",
		"GET /files?path=/memfs/i -> 200 \x00\x00\x00\x00\x00Z",
		"POST /write?path=/memfs/j raw -> 200 Written 3 bytes",
		"POST /sync -> 200 synced",
		"PUT /files?path=memfs/k x -> 200",
		"GET /files?path=/memfs/k/ -> 200 x",
	)
	a := s.Do(t, "POST", v1+"/write?path=/memfs/j", `{"data":"<&>"}`, "Content-Type", "application/json; charset=utf-8")
	if b := s.Do(t, "GET", v1+"/files?path=/memfs/j", ""); a.Status != 200 || b.Body != "<&>" {
		t.Errorf("%d %s, %q", a.Status, a.Body, b.Body)
	}
	if a := s.Do(t, "POST", v1+"/write", `{"data":`, "Content-Type", "application/json"); a.Status != 400 || !strings.Contains(a.Body, "invalid JSON body") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := s.Do(t, "PUT", v1+"/files?path=/memfs/j", `{"data":"x"}`, "Content-Type", "application/json"); a.Status != 200 ||
		s.Do(t, "GET", v1+"/files?path=/memfs/j", "").Body != `{"data":"x"}` {
		t.Error("a PUT was read by its Content-Type")
	}
}

func TestAnswersOfAChange(t *testing.T) {
	s := start(t)
	a := s.Do(t, "PUT", v1+"/files?path=/memfs/f", "x", "X-Request-Id", "my-id.1")
	seq, index := a.Header.Get("X-Pfs-Seq"), a.Header.Get("X-Pfs-Index")
	if a.Body != `{"message":"Written 1 bytes","index":`+index+"}\n" || a.Header.Get("ETag") != `"`+seq+`"` ||
		a.Header.Get("X-Request-Id") != "my-id.1" {
		t.Errorf("%q %v", a.Body, a.Header)
	}
	b := s.Do(t, "GET", v1+"/files?path=/memfs/f&min_index="+index+"&consistency=linearizable", "", "X-Request-Id", "a b")
	if b.Body != "x" || b.Header.Get("ETag") != a.Header.Get("ETag") || b.Header.Get("X-Pfs-Index") != index ||
		len(b.Header.Get("X-Request-Id")) != 16 {
		t.Errorf("%q %v", b.Body, b.Header)
	}
	d := s.Do(t, "PUT", v1+"/files?path=/dev/null", "x")
	if d.Status != 200 || d.Header.Get("X-Pfs-Placement") != "external" || d.Header.Get("X-Pfs-Seq") != "" {
		t.Errorf("%d %s %v", d.Status, d.Body, d.Header)
	}
	q := s.Do(t, "PUT", v1+"/files?path=/q/jobs/enqueue", "x")
	var m struct {
		Message, ID string
		Seq, Index  uint64
	}
	if err := json.Unmarshal([]byte(q.Body), &m); err != nil || m.Message != "Written 1 bytes" || m.ID == "" || m.Seq != 1 || m.Index == 0 {
		t.Errorf("%s", q.Body)
	}
}

// TestEndlessFile: a file without an end is read by parts, and nothing that
// reads to the end of files tries it.
func TestEndlessFile(t *testing.T) {
	s := start(t)
	const size = 3 << 20
	if a := s.Do(t, "GET", v1+fmt.Sprintf("/files?path=/dev/zero&size=%d", size), ""); a.Status != 200 || a.Body != strings.Repeat("\x00", size) {
		t.Errorf("%d, %d bytes", a.Status, len(a.Body))
	}
	for _, c := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/files?path=/dev/zero", "", 400, "size=BYTES"},
		{"GET", "/files?path=/dev/random&offset=5", "", 400, "no end"},
		{"HEAD", "/files?path=/dev/zero", "", 200, ""},
		{"POST", "/digest", `{"algorithm":"md5","path":"/dev/full"}`, 400, "no end"},
		{"POST", "/grep", `{"path":"/dev/zero","pattern":"x"}`, 400, "no end"},
		{"POST", "/grep", `{"path":"/dev","pattern":"x","recursive":true}`, 200, `"count":0`},
		{"PUT", "/files?path=/dev/full", "x", 507, "no space left"},
		{"PUT", "/files?path=/dev/zero", "x", 200, "Written 1 bytes"},
	} {
		if a := s.Do(t, c.method, v1+c.target, c.body); a.Status != c.status || !strings.Contains(a.Body, c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.target, a.Status, a.Body)
		}
	}
	if a := s.Do(t, "GET", v1+"/files?path=/dev/zero", "", "Range", "bytes=0-9"); a.Status != 400 {
		t.Errorf("by a range: %d %q", a.Status, a.Body)
	}
}

// newPattern returns content that can be made again to be compared.
func newPattern() io.Reader { return rand.NewChaCha8([32]byte{1}) }

func TestLongFileStreams(t *testing.T) {
	const size = 96 << 20
	s := start(t)
	req, err := http.NewRequestWithContext(t.Context(), "PUT", s.URL+v1+"/files?path=/memfs/big", io.LimitReader(newPattern(), size))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req) // chunked: its length is not told
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resp, err = http.Get(s.URL + v1 + "/files?path=/memfs/big")
	if err != nil || resp.StatusCode != 200 || resp.ContentLength != size {
		t.Fatal(resp, err)
	}
	defer resp.Body.Close()
	same(t, resp.Body, io.LimitReader(newPattern(), size))
	runtime.ReadMemStats(&after)
	if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 16<<20 {
		t.Errorf("reading %d MiB allocated %d MiB", size>>20, grown>>20)
	}
	a := s.Do(t, "GET", v1+"/files?path=/memfs/big&offset=50000000&size=100000", "")
	b := s.Do(t, "GET", v1+"/files?path=/memfs/big", "", "Range", "bytes=50000000-50099999")
	if a.Status != 200 || b.Status != 206 || len(a.Body) != 100000 || a.Body != b.Body {
		t.Errorf("%d %d, %d and %d bytes", a.Status, b.Status, len(a.Body), len(b.Body))
	}
}

func same(t *testing.T, got, want io.Reader) {
	t.Helper()
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	for n := 0; ; n++ {
		k, err := io.ReadFull(want, b)
		if l, _ := io.ReadFull(got, a[:max(k, 1)]); l != k || string(a[:l]) != string(b[:k]) {
			t.Fatalf("differs in MiB %d", n)
		}
		if err != nil {
			return
		}
	}
}

// TestOneVersion reads a file while it is replaced: each read is one version.
func TestOneVersion(t *testing.T) {
	s := start(t)
	put := func(c string) {
		s.Do(t, "PUT", v1+"/files?path=/memfs/f", strings.Repeat(c, 3<<20))
	}
	put("a")
	resp, err := http.Get(s.URL + v1 + "/files?path=/memfs/f")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	put("b")
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != strings.Repeat("a", 3<<20) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestGrep(t *testing.T) {
	s := start(t)
	long := strings.Repeat("x", 3<<20) + "needle" + strings.Repeat("y", 2<<20)
	steps(t, s, "", "POST /mkdir?path=/memfs/d -> 201", "PUT /files?path=/memfs/d/a one\nNeedle <1>\r\nthree -> 200",
		"PUT /files?path=/memfs/d/bin a\x00b\xff needle\n -> 200", "PUT /files?path=/memfs/d/long "+long+" -> 200",
		`POST /symlink?path=/memfs/l {"target":"d"} -> 201`,
		"POST /mkdir?path=/q/jobs -> 201", "PUT /files?path=/q/jobs/enqueue needle -> 200")
	type found struct {
		Matches []struct {
			File    string
			Line    int
			Content string
		}
		Count int
	}
	grep := func(body string) (f found) {
		a := s.Do(t, "POST", v1+"/grep", body)
		if err := json.Unmarshal([]byte(a.Body), &f); err != nil || a.Status != 200 {
			t.Fatalf("%s: %d %.300s", body, a.Status, a.Body)
		}
		return f
	}
	if f := grep(`{"path":"/memfs/d/a","pattern":"^needle","case_insensitive":true}`); f.Count != 1 || f.Matches[0].Line != 2 ||
		f.Matches[0].Content != "Needle <1>" || f.Matches[0].File != "/memfs/d/a" {
		t.Errorf("%+v", f)
	}
	if f := grep(`{"path":"/memfs/d/long","pattern":"xneedley"}`); f.Count != 1 || f.Matches[0].Line != 1 {
		t.Errorf("%d matches in a long line", f.Count)
	}
	if f := grep(`{"path":"/memfs/l","pattern":"needle","recursive":true}`); f.Count != 2 || f.Matches[0].File != "/memfs/l/bin" {
		t.Errorf("%d matches through a link", f.Count)
	}
	if f := grep(`{"path":"/","pattern":".","recursive":true,"limit":3}`); f.Count != 3 {
		t.Errorf("%d matches, limit 3", f.Count)
	}
	if a := s.Do(t, "GET", v1+"/files?path=/q/jobs/size", ""); a.Body != "1" {
		t.Errorf("the search has taken a message: %s left", a.Body)
	}
	a := s.Do(t, "POST", v1+"/grep", `{"path":"/memfs/d/a","pattern":"e","stream":true}`)
	lines := strings.Split(strings.TrimSpace(a.Body), "\n")
	if a.Header.Get("Content-Type") != "application/x-ndjson" || len(lines) != 4 || lines[3] != `{"count":3,"type":"summary"}` {
		t.Errorf("%v %q", a.Header, a.Body)
	}
	a = s.Do(t, "POST", v1+"/grep", `{"path":"/memfs","pattern":"e","stream":true}`)
	if a.Status != 200 || a.Body != `{"error":"path is a directory, use recursive=true to search"}`+"\n" {
		t.Errorf("%d %q", a.Status, a.Body)
	}
}

func TestGrepTimesOut(t *testing.T) {
	s := startWith(t, api.Config{Limits: api.Limits{Grep: time.Nanosecond}})
	a := s.Do(t, "POST", v1+"/grep", `{"path":"/memfs","pattern":"e","recursive":true}`)
	if a.Status != 408 || !strings.Contains(a.Body, `"partial":true`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestDigestOfLongFile(t *testing.T) {
	s := start(t)
	text := strings.Repeat("0123456789abcdef", 100000)
	s.Do(t, "PUT", v1+"/files?path=/memfs/f", text)
	a := s.Do(t, "POST", v1+"/digest", `{"algorithm":"md5","path":"/memfs/f"}`)
	if !strings.Contains(a.Body, fmt.Sprintf(`"digest":"%x"`, md5.Sum([]byte(text)))) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	b := s.Do(t, "POST", v1+"/digest", `{"algorithm":"md5","path":"/q/jobs/dequeue"}`)
	s.Do(t, "POST", v1+"/mkdir?path=/q/jobs", "")
	c := s.Do(t, "POST", v1+"/digest", `{"algorithm":"md5","path":"/q/jobs/dequeue"}`)
	if b.Status != 404 || c.Status != 400 {
		t.Errorf("%d %s; %d %s", b.Status, b.Body, c.Status, c.Body)
	}
}

// TestConsumingFiles checks that nothing is taken by those that only look, and
// by those that have left.
func TestConsumingFiles(t *testing.T) {
	s := start(t)
	steps(t, s, "", "POST /mkdir?path=/q/jobs -> 201", "PUT /files?path=/q/jobs/enqueue one -> 200",
		"HEAD /files?path=/q/jobs/dequeue -> 200", "GET /files?path=/q/jobs/dequeue&size=1 -> 400",
		"GET /files?path=/q/jobs/dequeue&stream=true -> 404",
		`GET /stat?path=/q/jobs/dequeue -> 200 "Content":{"consume":"true"`)
	if a := s.Do(t, "GET", v1+"/files?path=/q/jobs/dequeue", "", "Range", "bytes=0-1"); a.Status != 400 {
		t.Errorf("Range: %d", a.Status)
	}
	// A proposal holds the next one up; the client behind it leaves meanwhile.
	held, release := make(chan bool), make(chan bool)
	s.Node.Refuse(func(r vfs.Request) error {
		if r.Ops[0].Verb == vfs.Touch {
			held <- true
			<-release
		}
		return nil
	})
	go s.Node.Propose(context.Background(), vfs.Request{Ops: []vfs.Op{{Verb: vfs.Touch, Path: "/memfs/t"}}})
	<-held
	c := dial(t, s)
	// The first request waits behind the proposal, so the second is looked at
	// only when the client is gone.
	if _, err := io.WriteString(c, "POST /api/v1/files?path=/memfs/x HTTP/1.1\r\nHost: x\r\n\r\n"+
		"GET /api/v1/files?path=/q/jobs/dequeue HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request waits", func() bool {
		return strings.Contains(s.Do(t, "GET", "/metrics", "").Body, "pfs_http_requests_in_flight 2\n")
	})
	_ = c.Close()
	close(release)
	s.Node.Refuse(nil)
	eventually(t, "the connection is over", func() bool {
		return strings.Contains(s.Do(t, "GET", "/metrics", "").Body, "pfs_http_requests_in_flight 1\n") &&
			strings.Contains(s.Do(t, "GET", "/metrics", "").Body, "pfs_http_connections 1\n")
	})
	if a := s.Do(t, "GET", v1+"/files?path=/q/jobs/size", ""); a.Body != "1" {
		t.Errorf("%s messages are left", a.Body)
	}
	for i, want := range []string{`"data":"one"`, "{}"} {
		a := s.Do(t, "GET", v1+"/files?path=/q/jobs/dequeue", "")
		if !strings.Contains(a.Body, want) || a.Header.Get("ETag") != "" {
			t.Errorf("%d: %s %v", i, a.Body, a.Header)
		}
	}
}

func TestLongMessage(t *testing.T) {
	s := start(t)
	long := strings.Repeat("0123456789", 50000)
	s.Do(t, "PUT", v1+"/files?path=/q/jobs/enqueue", long)
	var m struct{ Data string }
	a := s.Do(t, "GET", v1+"/files?path=/q/jobs/dequeue", "")
	if err := json.Unmarshal([]byte(a.Body), &m); err != nil || m.Data != long {
		t.Errorf("%d %v, %d bytes", a.Status, err, len(m.Data))
	}
}

// TestAbortedUpload leaves nothing behind but chunks that nothing names.
func TestAbortedUpload(t *testing.T) {
	s := start(t)
	before := s.Digest(t)
	c := dial(t, s)
	if _, err := io.WriteString(c, put+"Content-Length: 9000000\r\n\r\n"+strings.Repeat("x", 5000000)); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	eventually(t, "the request is over", func() bool {
		return strings.Contains(s.Do(t, "GET", "/metrics", "").Body, "pfs_http_connections 1\n")
	})
	if s.Digest(t) != before {
		t.Error("the state has changed")
	}
}

func TestExpectContinue(t *testing.T) {
	s := start(t)
	c := dial(t, s)
	r := bufio.NewReader(c)
	head := "PUT /api/v1/files?path=%s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n"
	if _, err := fmt.Fprintf(c, head, "/memfs/f"); err != nil {
		t.Fatal(err)
	}
	if line, err := r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q %v", line, err)
	}
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	if resp, body := answer(t, r, "PUT"); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// Clients that leave within a body leave nothing behind, and take nothing from those
// that stay.
func TestLeftBodies(t *testing.T) {
	const size = 5<<20 + 7
	s := start(t)
	content, _ := io.ReadAll(io.LimitReader(newPattern(), size))
	if a := s.Do(t, "PUT", v1+"/files?path=/memfs/f", string(content)); a.Status != 200 {
		t.Fatal(a)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	read := func(n int64) {
		resp, err := client.Get(s.URL + v1 + "/files?path=/memfs/f")
		if err != nil {
			t.Error(err)
			return
		}
		got, err := io.ReadAll(io.LimitReader(resp.Body, n))
		if err != nil || !bytes.Equal(got, content[:min(n, size)]) {
			t.Errorf("%d bytes of %d, or others: %v", len(got), n, err)
		}
		_ = resp.Body.Close() // perhaps in the middle
	}
	read(size)
	before := runtime.NumGoroutine()
	var readers sync.WaitGroup
	for k := range 20 {
		readers.Go(func() {
			for n := range 5 {
				read(int64(1 + (k*5+n)*60_000))
			}
		})
	}
	readers.Wait()
	for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before+5; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
