package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// found is one match of a search.
type found struct {
	File    string
	Line    int
	Content string
}

// grep searches for a pattern.
func (w web) grep(path, pattern string, recursive bool) []found {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"path": path, "pattern": pattern, "recursive": recursive})
	if err != nil {
		w.t.Fatal(err)
	}
	var out struct {
		Matches []found
		Count   int
	}
	// A search has five seconds, which pass on a machine that is busy with others.
	var a answer
	harness.Poll(30*time.Second, func() bool {
		a, err = w.patient("POST", "/grep", string(body))
		return err != nil || a.status != 408
	})
	if err != nil || a.status != 200 || decode(a, &out) != nil {
		w.t.Errorf("grep of %s: %v, %d %.300s", path, err, a.status, a.body)
	}
	if out.Count != len(out.Matches) || out.Matches == nil {
		w.t.Errorf("grep of %s: count %d, matches %v", path, out.Count, out.Matches)
	}
	return out.Matches
}

// message is what a queue gives.
type message struct {
	ID     string
	Data   *string
	Base64 string `json:"data_base64"`
}

// take takes one message; "" when there is none.
func (w web) take(queue string) string {
	w.t.Helper()
	var m message
	w.json("GET", "/files?path="+queue+"/dequeue", "", &m)
	switch {
	case m.ID == "":
		return ""
	case m.Data != nil:
		return *m.Data
	}
	b, err := base64.StdEncoding.DecodeString(m.Base64)
	if err != nil {
		w.t.Errorf("data_base64 %q: %v", m.Base64, err)
	}
	return string(b)
}

// peerMessages does to queues all that only looks, and then takes each message
// once.
func peerMessages(p *peer) {
	q := p.dir + "/q"
	p.mount("queuefs", q, "")
	messages := []string{"text", "", "\xff\xfe\x00binary\x80", "<&>\u2028", strings.Repeat("\x00", 70_000), "last"}
	for _, m := range messages {
		p.put(q+"/jobs/enqueue", m)
	}
	dq := q + "/jobs/dequeue"
	p.grep(p.dir, ".", true)
	p.want(400, "POST", "/grep", `{"path":"`+dq+`","pattern":"."}`)
	p.want(200, "POST", "/grep", `{"path":"`+p.dir+`","pattern":".","recursive":true,"stream":true}`)
	p.want(400, "POST", "/digest", `{"algorithm":"md5","path":"`+dq+`"}`)
	p.want(200, "HEAD", "/files?path="+dq, "")
	p.want(400, "GET", "/files?path="+dq+"&offset=0", "")
	p.want(400, "GET", "/files?path="+dq+"&size=10", "")
	p.want(400, "GET", "/files?path="+dq, "", "Range", "bytes=0-3")
	p.want(404, "GET", "/files?path="+dq+"&stream=true", "")
	p.want(200, "GET", "/stat?path="+dq, "")
	p.names(q + "/jobs")
	if a, err := p.do("POST", "/touch?path="+dq, nil); err != nil || a.status/100 == 5 {
		p.Errorf("touch: %d (%v)", a.status, err)
	}
	if c := p.stat(dq).Meta.Content["consume"]; c != "true" {
		p.Errorf("dequeue is marked %q", c)
	}
	h := p.open(dq, "")
	p.want(200, "GET", h+"/stat", "")
	p.want(200, "DELETE", h, "")
	copied := filepath.Join(p.TempDir(), "copy")
	out, _ := harness.Output(harness.Build(p)+"/pfs", "--url", p.node.URL, "cp", "-r", "pfs:"+q, copied) // some files are write-only
	if b, err := os.ReadFile(filepath.Join(copied, "jobs", "size")); err != nil || string(b) != fmt.Sprint(len(messages)) {
		p.Errorf("pfs cp did not copy what can be copied: %q (%v)\n%s", b, err, out)
	}
	p.reads(q+"/jobs/size", fmt.Sprint(len(messages)))
	for i, want := range messages {
		if got := p.take(q + "/jobs"); got != want {
			p.Errorf("message %d is %.40q, expected %.40q", i, got, want)
		}
	}
	p.reads(dq, "{}")
	peerLease(p, q+"/leased")
	peerAborted(p)
}

// peerLease loses the answer to a take: the message is not lost with it, and
// once it is acked it does not come again.
func peerLease(p *peer, q string) {
	p.put(q+"/enqueue", "\xff job")
	p.want(200, "HEAD", "/files?path="+q+"/take", "")
	p.want(400, "GET", "/files?path="+q+"/take&size=3", "")
	p.want(400, "POST", "/digest", `{"algorithm":"md5","path":"`+q+`/take"}`)
	p.grep(p.dir, ".", true)
	p.reads(q+"/size", "1")
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.node.URL, "http://"))
	if err != nil {
		p.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /api/v1/files?path="+q+"/take&lease=8s HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		p.Fatal(err)
	}
	if !harness.Poll(10*time.Second, func() bool { return len(p.names(q+"/inflight")) == 1 }) {
		p.Error("nothing was taken")
	}
	conn.Close() // with the answer unread
	var m struct {
		Lease   string
		Base64  []byte `json:"data_base64"`
		Attempt int
	}
	p.json("GET", "/files?path="+q+"/take&wait=30s", "", &m)
	if string(m.Base64) != "\xff job" || m.Attempt != 2 {
		p.Errorf("it came back as %+v", m)
	}
	p.put(q+"/ack", m.Lease)
	p.want(409, "PUT", "/files?path="+q+"/ack", m.Lease)
	p.reads(q+"/take", "{}")
}

// peerAborted asks a node that stands still for messages, leaves, and lets it
// go on: nothing may be taken.
func peerAborted(p *peer) {
	n := harness.Start(p, harness.Options{}).Nodes[0]
	w := newWeb(p, n)
	for i := range 10 {
		w.put("/queuefs/q/enqueue", fmt.Sprint(i))
	}
	n.Pause()
	for range 10 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "http://"))
		if err != nil {
			p.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET /api/v1/files?path=/queuefs/q/dequeue HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			p.Error(err)
		}
		conn.Close()
	}
	n.Signal(syscall.SIGCONT)
	asked := func() bool {
		return strings.Contains(w.metrics(), `route="/api/v1/files",status="504"} 10`)
	}
	if !harness.Poll(30*time.Second, asked) {
		p.Errorf("the node did not refuse all who had left:\n%.2000s", w.metrics())
	}
	w.reads("/queuefs/q/size", "10")
	if got := w.take("/queuefs/q"); got != "0" {
		p.Errorf("the first message is %q", got)
	}
}

// metrics returns what the node counts.
func (w web) metrics() string {
	w.t.Helper()
	return web{w.t, strings.TrimSuffix(w.url, "/api/v1")}.want(200, "GET", "/metrics", "").body
}

// peerQueueHammer makes, fills, empties and removes queues from all sides.
// Each message comes once.
func peerQueueHammer(p *peer) {
	q := p.dir + "/q"
	p.mount("queuefs", q, "")
	p.mkdir(q + "/jobs")
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	const clients, each = 8, 15
	for client := range clients {
		wg.Go(func() {
			own := fmt.Sprintf("%s/own%d", q, client)
			for i := range each {
				p.mkdir(own)
				p.put(q+"/jobs/enqueue", fmt.Sprintf("%d-%d", client, i))
				p.put(own+"/enqueue", "x")
				p.names(q)
				p.want(200, "GET", "/files?path="+q+"/jobs/peek", "")
				p.want(200, "DELETE", "/files?path="+own+"&recursive=true", "")
				if m := p.take(q + "/jobs"); m != "" {
					mu.Lock()
					got[m]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	for m := p.take(q + "/jobs"); m != ""; m = p.take(q + "/jobs") {
		got[m]++
	}
	for m, n := range got {
		if n != 1 {
			p.Errorf("message %s came %d times", m, n)
		}
	}
	if len(got) != clients*each {
		p.Errorf("%d messages of %d", len(got), clients*each)
	}
}

// peerStream asks for streams where there are none: the refusal comes at once.
// A search that streams sends what it has before it is done.
func peerStream(p *peer) {
	f := p.dir + "/f"
	p.put(f, "x")
	start := time.Now()
	if a := p.want(404, "GET", "/files?path="+f+"&stream=true", ""); !strings.Contains(a.body, "does not support streaming") {
		p.Errorf("stream: %s", a.body)
	}
	p.want(501, "GET", p.open(f, "")+"/stream", "")
	if d := time.Since(start); d > 30*time.Second {
		p.Errorf("refused after %v", d)
	}
	p.want(200, "POST", "/truncate?path="+p.dir+"/f&size=100000000000", "")
	p.put(p.dir+"/a", "needle")
	var line string
	var ahead time.Duration
	if !harness.Poll(60*time.Second, func() bool { line, ahead = firstFound(p); return ahead > time.Second }) {
		p.Errorf("the first match came %v before the end of the search: %q", ahead, line)
	}
}

// firstFound streams a search, and returns its first match and how long that came
// before the end. It takes as long as a search may.
func firstFound(p *peer) (line string, ahead time.Duration) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
	defer cancel()
	body := strings.NewReader(`{"path":"` + p.dir + `","pattern":"needle","recursive":true,"stream":true}`)
	req, err := http.NewRequestWithContext(ctx, "POST", p.url+"/grep", body)
	if err != nil {
		p.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	rest := bufio.NewReader(resp.Body)
	line, err = rest.ReadString('\n')
	at := time.Now()
	if _, rerr := io.Copy(io.Discard, rest); err != nil || rerr != nil || !strings.Contains(line, `"content":"needle"`) {
		return fmt.Sprintf("%s (%v, %v)", line, err, rerr), 0
	}
	return line, time.Since(at)
}

// peerTorn reads a file while it is written in place: a read sees one write.
func peerTorn(p *peer) {
	f := p.dir + "/f"
	const size = 300 << 10
	fill := func(c byte) string { return string(bytes.Repeat([]byte{c}, size)) }
	p.put(f, fill('a'))
	h := p.open(f, "flags=readwrite")
	var stop atomic.Bool
	var wg sync.WaitGroup
	var reads atomic.Int64
	for reader := range 6 {
		wg.Go(func() {
			for !stop.Load() && !p.Failed() {
				route := "/files?path=" + f
				if reader%2 == 1 {
					route = h + fmt.Sprintf("/read?offset=0&size=%d", size)
				}
				b := p.want(200, "GET", route, "").body
				reads.Add(1)
				if len(b) != size || strings.Trim(b, b[:1]) != "" {
					p.Errorf("a torn read of %d bytes", len(b))
				}
			}
		})
	}
	for i := 0; i < 30 || reads.Load() < 30 && i < 10_000 && !p.Failed(); i++ { // until there were readers beside
		c := byte('b' + i%20)
		if i%2 == 0 {
			p.want(200, "PUT", "/files?path="+f+"&offset=0", fill(c))
		} else {
			p.want(200, "PUT", h+"/write?offset=0", fill(c))
		}
	}
	stop.Store(true)
	wg.Wait()
	if reads.Load() < 30 {
		p.Errorf("%d reads beside the writes", reads.Load())
	}
}

// peerGrep searches long lines, binary content and more than the limit.
func peerGrep(p *peer) {
	p.mkdir(p.dir + "/d")
	long := strings.Repeat("x", 300_000)
	p.put(p.dir+"/d/long", "first\n"+long+"needle"+long+"\nneedle again\n")
	p.put(p.dir+"/d/binary", "\x00\xff\xfeneedle\x00\n")
	p.put(p.dir+"/d/lines", strings.Repeat("NEEDLE\n", 5000))
	p.put(p.dir+"/d/crlf", "a needle\r\n")
	got := p.grep(p.dir, "needle", true)
	if len(got) != 4 {
		p.Errorf("%d matches, expected 4", len(got))
	}
	for _, m := range got {
		if strings.HasSuffix(m.File, "/long") && m.Line != 2 && m.Line != 3 || strings.HasSuffix(m.Content, "\r") {
			p.Errorf("match at %s:%d %.40q", m.File, m.Line, m.Content)
		}
	}
	var out struct {
		Matches []found
		Count   int
	}
	in := `{"path":"` + p.dir + `","pattern":"needle","recursive":true,"case_insensitive":true,"limit":7}`
	harness.Poll(30*time.Second, func() bool { // 408: see grep
		a, err := p.patient("POST", "/grep", in)
		return err == nil && a.status == 200 && decode(a, &out) == nil
	})
	if len(out.Matches) != 7 || out.Count != 7 {
		p.Errorf("limit 7 gives %d matches, count %d", len(out.Matches), out.Count)
	}
	var lines []string
	if !harness.Poll(30*time.Second, func() bool { // a summary that says "timed out": as above
		a := p.want(200, "POST", "/grep", `{"path":"`+p.dir+`","pattern":"NEEDLE","recursive":true,"limit":9,"stream":true}`)
		lines = strings.Split(strings.TrimSpace(a.body), "\n")
		return !strings.Contains(lines[len(lines)-1], "timed out")
	}) || len(lines) != 10 || lines[9] != `{"count":9,"type":"summary"}` {
		p.Errorf("a stream of 9 matches has %d lines: %.300q", len(lines), lines)
	}
	if m := p.grep(p.dir, "nothing like it", true); len(m) != 0 {
		p.Errorf("matches: %v", m)
	}
	p.want(400, "POST", "/grep", `{"path":"`+p.dir+`","pattern":"x"}`)
	p.want(400, "POST", "/grep", `{"path":"`+p.dir+`","pattern":"(","recursive":true}`)
	p.want(400, "POST", "/grep", `{"path":"`+p.dir+`","pattern":"`+strings.Repeat("a", 2000)+`","recursive":true}`)
	p.put(p.dir+"/hole", "")
	p.want(200, "POST", "/truncate?path="+p.dir+"/hole&size=1000000000000", "")
	slow := p.want(408, "POST", "/grep", `{"path":"`+p.dir+`/hole","pattern":"(a+)+$"}`)
	if !strings.Contains(slow.body, `"partial":true`) {
		p.Errorf("a search cut short answers %.300s", slow.body)
	}
}

// peerListing pages through a directory and reads parts of a file.
func peerListing(p *peer) {
	p.mkdir(p.dir + "/empty")
	if a := p.want(200, "GET", "/directories?path="+p.dir+"/empty", ""); a.body != `{"files":[]}`+"\n" {
		p.Errorf("an empty directory: %q", a.body)
	}
	var want []string
	d := p.dir + "/d"
	p.mkdir(d)
	var wg sync.WaitGroup
	for i := range 60 {
		name := fmt.Sprintf("%c%02d", "azAZ_"[i%5], (i*37)%60)
		want = append(want, name)
		wg.Go(func() { p.put(d+"/"+name, name) })
	}
	wg.Wait()
	slices.Sort(want)
	if got := p.names(d); !slices.Equal(got, want) {
		p.Errorf("listing: %q", got)
	}
	var pages []string
	for cursor, n := "", 0; n < 100; n++ {
		var out struct {
			Files []entry
			Next  string `json:"next_cursor"`
		}
		p.json("GET", "/directories?path="+d+"&limit=7"+cursor, "", &out)
		for _, f := range out.Files {
			pages = append(pages, f.Name)
		}
		if n == 3 {
			p.want(200, "DELETE", "/files?path="+d+"/"+out.Files[6].Name, "") // the cursor's own entry
		}
		if out.Next == "" {
			break
		}
		cursor = "&cursor=" + out.Next
	}
	if !slices.Equal(pages, want) {
		p.Errorf("pages: %q", pages)
	}
	peerRanges(p)
}

// peerRanges asks for parts, and under conditions.
func peerRanges(p *peer) {
	f := p.dir + "/f"
	etag := p.put(f, "0123456789").header.Get("ETag")
	a := p.want(200, "HEAD", "/files?path="+f, "")
	if a.body != "" || a.header.Get("Content-Length") != "10" || a.header.Get("ETag") != etag || a.header.Get("Last-Modified") == "" {
		p.Errorf("HEAD: %v", a.header)
	}
	for _, c := range []struct{ given, body, content string }{
		{"bytes=2-4", "234", "bytes 2-4/10"},
		{"bytes=7-", "789", "bytes 7-9/10"},
		{"bytes=-2", "89", "bytes 8-9/10"},
		{"bytes=8-99", "89", "bytes 8-9/10"},
	} {
		a := p.want(206, "GET", "/files?path="+f, "", "Range", c.given)
		if a.body != c.body || a.header.Get("Content-Range") != c.content {
			p.Errorf("%s: %q, %s", c.given, a.body, a.header.Get("Content-Range"))
		}
		p.want(206, "GET", "/files?path="+f, "", "Range", c.given, "If-Range", etag)
		p.want(200, "GET", "/files?path="+f, "", "Range", c.given, "If-Range", `"1"`)
	}
	p.want(416, "GET", "/files?path="+f, "", "Range", "bytes=10-")
	p.want(416, "GET", "/files?path="+f, "", "Range", "bytes=-0")
	p.want(200, "GET", "/files?path="+f, "", "Range", "bytes=5-2")
	p.want(200, "GET", "/files?path="+f, "", "Range", "bytes=0-0,2-2")
	p.want(304, "GET", "/files?path="+f, "", "If-None-Match", etag)
	p.want(200, "GET", "/files?path="+f, "", "If-None-Match", `"1"`)
	if a := p.want(200, "GET", "/files?path="+f+"&offset=3&size=4", ""); a.body != "3456" {
		p.Errorf("offset and size: %q", a.body)
	}
}

// peerLong writes and reads a file longer than the peer takes, in little
// memory; without a length, too.
func peerLong(p *peer) {
	n := harness.Start(p, harness.Options{}).Nodes[0]
	w := newWeb(p, n)
	const size = 100 << 20
	want, _, err := hashOf(random(25, size))
	if err != nil {
		p.Fatal(err)
	}
	for i, body := range []io.Reader{random(25, size), struct{ io.Reader }{random(25, size)}} {
		req, err := http.NewRequestWithContext(p.Context(), "PUT", fmt.Sprintf("%s/files?path=/memfs/f%d", w.url, i), body)
		if err != nil {
			p.Fatal(err)
		}
		if i == 0 {
			req.ContentLength = size
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			p.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body) // what came is shown
		resp.Body.Close()
		if resp.StatusCode != 200 || !bytes.Contains(answer, fmt.Appendf(nil, "Written %d bytes", size)) {
			p.Errorf("status %d: %s", resp.StatusCode, answer)
		}
		if resp, err = http.Get(fmt.Sprintf("%s/files?path=/memfs/f%d", w.url, i)); err != nil {
			p.Fatal(err)
		}
		got, long, err := hashOf(resp.Body)
		resp.Body.Close()
		if err != nil || got != want {
			p.Errorf("read back %d bytes that differ (%v)", long, err)
		}
	}
	if peak := n.PeakRSS(); peak > 200<<20 {
		p.Errorf("the server held %d MiB at its peak", peak>>20)
	}
}
