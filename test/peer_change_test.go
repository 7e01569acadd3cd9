package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// peerDeadlock lists and reads through links while others make and remove
// them.
func peerDeadlock(p *peer) {
	p.put(p.dir+"/f", "x")
	ctx, cancel := context.WithTimeout(p.Context(), 5*time.Minute)
	defer cancel()
	w := web{p.T, p.url}
	var wg sync.WaitGroup
	for client := range 12 {
		wg.Go(func() {
			link := fmt.Sprintf("%s/l%d", p.dir, client)
			for range 30 {
				for _, r := range []struct{ method, route, body string }{
					{"POST", "/symlink?path=" + link, `{"target":"f"}`},
					{"GET", "/directories?path=" + p.dir, ""},
					{"GET", "/files?path=" + link, ""},
					{"GET", "/stat?path=" + link, ""},
					{"DELETE", "/files?path=" + link, ""},
				} {
					a, err := w.patient(r.method, r.route, r.body)
					if err != nil || a.status/100 != 2 || ctx.Err() != nil {
						p.Errorf("client %d: %s %s: %d %.200s (%v)", client, r.method, r.route, a.status, a.body, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if names := p.names(p.dir); len(names) != 1 {
		p.Errorf("left: %q", names)
	}
}

// peerOneRequest sends, to a node of its own, single requests that name
// absurd sizes.
func peerOneRequest(p *peer) {
	n := harness.Start(p, harness.Options{}).Nodes[0]
	w := newWeb(p, n)
	const huge = "100000000000"
	w.put("/memfs/small", "abc")
	w.put("/memfs/f", "abc")
	w.want(200, "POST", "/truncate?path=/memfs/f&size="+huge, "")
	if got := w.stat("/memfs/f").Size; strconv.FormatInt(got, 10) != huge {
		p.Errorf("size %d after truncate", got)
	}
	if a := w.want(200, "GET", "/files?path=/memfs/f&offset=99999999990", ""); a.body != strings.Repeat("\x00", 10) {
		p.Errorf("the end reads %q", a.body)
	}
	peekBody(p, w.url+"/files?path=/memfs/f")
	h := w.open("/memfs/f", "flags=readwrite")
	peekBody(p, w.url+h+"/read?size="+huge)
	w.want(200, "PUT", h+"/write?offset="+huge, "x")
	small := w.open("/memfs/small", "flags=readwrite")
	if a := w.want(200, "GET", small+"/read?size="+huge, ""); a.body != "abc" || a.header.Get("X-Bytes-Read") != "3" {
		p.Errorf("a long read gives %q, X-Bytes-Read %s", a.body, a.header.Get("X-Bytes-Read"))
	}
	w.want(200, "GET", "/files?path=/memfs/small&size="+huge, "")
	w.want(200, "PUT", "/files?path=/memfs/far&offset=1000000000000000", "x")
	w.want(413, "PUT", "/files?path=/memfs/small&offset=1152921504606846976", "x")
	w.want(413, "PUT", "/files?path=/memfs/small&offset=9223372036854775807", "x")
	w.want(413, "POST", "/truncate?path=/memfs/small&size=9223372036854775807", "")
	w.want(400, "POST", "/truncate?path=/memfs/small&size=99999999999999999999", "")
	w.want(413, "PUT", small+"/write?offset=9223372036854775807", "x")
	for _, route := range []string{"/grep", "/mount", "/chmod?path=/memfs/small", "/write?path=/memfs/small"} {
		announce(p, n, "POST", route, huge, 413)
	}
	announce(p, n, "PUT", "/files?path=/memfs/never", huge, 0)
	w.reads("/memfs/small", "abc")
	w.want(404, "GET", "/stat?path=/memfs/never", "")
	if peak := n.PeakRSS(); peak > 192<<20 {
		p.Errorf("the server held %d MiB at its peak", peak>>20)
	}
	n.Ready()
}

// peekBody reads the start of an answer and leaves.
func peekBody(p *peer, url string) {
	resp, err := http.Get(url)
	if err != nil {
		p.Error(err)
		return
	}
	defer resp.Body.Close()
	if n, err := io.CopyN(io.Discard, resp.Body, 8<<20); resp.StatusCode != 200 || err != nil {
		p.Errorf("%s: status %d, %d bytes (%v)", url, resp.StatusCode, n, err)
	}
}

// announce sends the header of a request with a body of that length and some
// of it, expects a status unless it is 0, and leaves.
func announce(p *peer, n *harness.Node, method, route, length string, status int) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "http://"))
	if err != nil {
		p.Fatal(err)
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "%s /api/v1%s HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\n{", method, route, length)
	if err != nil || status == 0 {
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(60 * time.Second)) // a read without it would only wait longer
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		p.Errorf("%s %s of %s bytes: %v", method, route, length, err)
		return
	}
	resp.Body.Close()
	if resp.StatusCode != status {
		p.Errorf("%s %s of %s bytes: status %d, expected %d", method, route, length, resp.StatusCode, status)
	}
}

// peerRestart kills a node, and stops it, and looks for everything after.
func peerRestart(p *peer) {
	n := harness.Start(p, harness.Options{}).Nodes[0]
	w := newWeb(p, n)
	w.mkdir("/memfs/d")
	w.put("/memfs/d/f", "in memory")
	w.want(200, "PUT", "/files?path=/memfs/long", strings.Repeat("long ", 100_000))
	w.put("/kvfs/keys/a/b", "value")
	w.put("/queuefs/q/enqueue", "first")
	w.put("/queuefs/q/enqueue", "second")
	w.want(200, "GET", "/files?path=/queuefs/q/dequeue", "")
	w.link("/memfs/l", "d/f")
	w.link("/queuefs/l", "/memfs/l")
	w.mount("memfs", "/later/on", "")
	w.put("/later/on/f", "mounted later")
	w.want(200, "POST", "/unmount", `{"path":"/serverinfofs"}`)
	h := w.open("/memfs/d/f", "")
	for _, end := range []func() int{func() int { n.Kill(); return 0 }, n.Stop} {
		if code := end(); code != 0 {
			p.Errorf("SIGTERM: exit code %d", code)
		}
		n.Start()
		n.Ready()
		w.reads("/memfs/d/f", "in memory")
		w.reads("/memfs/long", strings.Repeat("long ", 100_000))
		w.reads("/kvfs/keys/a/b", "value")
		w.reads("/queuefs/q/size", "1")
		w.reads("/memfs/l", "in memory")
		w.reads("/queuefs/l", "in memory")
		w.reads("/later/on/f", "mounted later")
		w.want(404, "GET", "/directories?path=/serverinfofs", "")
		w.want(404, "GET", h, "")
	}
	if a := w.want(200, "GET", "/files?path=/queuefs/q/dequeue", ""); !strings.Contains(a.body, `"second"`) {
		p.Errorf("dequeue gives %s", a.body)
	}
}

// peerWrites appends, writes at offsets and under conditions, alone and
// against others.
func peerWrites(p *peer) {
	f := p.dir + "/f"
	p.put(f, "one,")
	p.want(200, "PUT", "/files?path="+f+"&flags=append", "two")
	p.reads(f, "one,two")
	p.want(200, "PUT", "/files?path="+f+"&offset=4", "T")
	p.reads(f, "one,Two")
	p.want(200, "PUT", "/files?path="+f+"&offset=9", "far")
	p.reads(f, "one,Two\x00\x00far")
	p.want(409, "PUT", "/files?path="+f+"&flags=create,exclusive", "x")
	p.want(404, "PUT", "/files?path="+p.dir+"/none&flags=append", "x")
	p.want(200, "PUT", "/files?path="+f+"&flags=truncate", "short")
	etag := p.reads(f, "short").header.Get("ETag")
	now := p.put(f, "changed", "If-Match", etag).header.Get("ETag")
	stale := p.want(412, "PUT", "/files?path="+f, "lost", "If-Match", etag)
	if etag == now || now == "" || !strings.Contains(stale.body, `"etag":`+now) {
		p.Errorf("versions %s, %s: a stale write answers %s", etag, now, stale.body)
	}
	p.want(412, "DELETE", "/files?path="+f, "", "If-Match", etag)
	p.want(412, "PUT", "/files?path="+f, "x", "If-None-Match", "*")
	p.reads(f, "changed")
	peerCompete(p)
}

// peerCompete lets clients append, count and create one file at once.
func peerCompete(p *peer) {
	log, count := p.dir+"/log", p.dir+"/count"
	p.put(log, "")
	p.put(count, "0")
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	const clients, each = 8, 12
	for client := range clients {
		wg.Go(func() {
			for i := range each {
				p.want(200, "PUT", "/files?path="+log+"&flags=append", fmt.Sprintf("%d-%d\n", client, i))
				for done := false; !done && !p.Failed(); {
					at := p.want(200, "GET", "/files?path="+count, "")
					n, _ := strconv.Atoi(at.body) // 0 for nonsense shows in the sum
					a, err := p.patient("PUT", "/files?path="+count, strconv.Itoa(n+1), "If-Match", at.header.Get("ETag"))
					if done = a.status == 200; err != nil || !done && a.status != 412 {
						p.Errorf("count: %d %s (%v)", a.status, a.body, err)
					}
				}
			}
			a, err := p.patient("PUT", "/files?path="+p.dir+"/once", "x", "If-None-Match", "*")
			mu.Lock()
			defer mu.Unlock()
			if a.status == 200 {
				made++
			} else if err != nil || a.status != 412 {
				p.Errorf("create once: %d (%v)", a.status, err)
			}
		})
	}
	wg.Wait()
	p.reads(count, strconv.Itoa(clients*each))
	lines := strings.Fields(p.want(200, "GET", "/files?path="+log, "").body)
	next := map[string]int{}
	for _, line := range lines {
		client, i, _ := strings.Cut(line, "-")
		if i != strconv.Itoa(next[client]) {
			p.Errorf("client %s: line %s where %d belongs", client, i, next[client])
		}
		next[client]++
	}
	if len(lines) != clients*each || made != 1 {
		p.Errorf("%d lines of %d; created %d times", len(lines), clients*each, made)
	}
}

// peerRename tries what would lose a tree, in every plugin that has one.
func peerRename(p *peer) {
	p.mount("kvfs", p.dir+"-kv", "")
	p.mount("localfs", p.dir+"-local", fmt.Sprintf(`{"local_dir":%q}`, p.TempDir()))
	p.mount("sqlfs", p.dir+"-sql", fmt.Sprintf(`{"db_path":%q}`, filepath.Join(p.TempDir(), "db")))
	for _, d := range []string{p.dir, p.dir + "-kv/keys/k", p.dir + "-local/k", p.dir + "-sql/k"} {
		for _, sub := range []string{"", "/a", "/a/b", "/full", "/empty"} {
			if d != p.dir || sub != "" {
				p.mkdir(d + sub)
			}
		}
		for _, f := range []string{"/a/b/f", "/full/f", "/x", "/y"} {
			p.put(d+f, f)
		}
		rename := func(status int, from, to string) {
			p.Helper()
			p.want(status, "POST", "/rename?path="+d+from, `{"newPath":"`+d+to+`"}`)
		}
		rename(400, "/a", "/a/b/c")
		rename(400, "/a", "/a/a")
		rename(200, "/a", "/a")
		p.reads(d+"/a/b/f", "/a/b/f")
		rename(200, "/x", "/y")
		p.reads(d+"/y", "/x")
		p.want(404, "GET", "/stat?path="+d+"/x", "")
		rename(409, "/y", "/a")
		rename(409, "/a", "/y")
		rename(409, "/a", "/full")
		rename(404, "/none", "/z")
		rename(200, "/a", "/empty")
		p.reads(d+"/empty/b/f", "/a/b/f")
		p.reads(d+"/full/f", "/full/f")
	}
	p.want(404, "POST", "/rename?path="+p.dir+"/y", `{"newPath":"`+p.dir+`/none/z"}`)
	p.link(p.dir+"/way", "empty/b")
	p.want(400, "POST", "/rename?path="+p.dir+"/empty", `{"newPath":"`+p.dir+`/way/in"}`)
	p.reads(p.dir+"/empty/b/f", "/a/b/f")
}

// peerOffsets sends negative numbers wherever a number goes.
func peerOffsets(p *peer) {
	f := p.dir + "/f"
	p.put(f, "abc")
	h := p.open(f, "flags=readwrite")
	for _, n := range []string{"-1", "-4096", "-9223372036854775808"} {
		if a := p.want(200, "GET", "/files?path="+f+"&offset="+n, ""); a.body != "abc" {
			p.Errorf("offset %s reads %q", n, a.body)
		}
		p.want(200, "GET", "/files?path="+f+"&size="+n, "")
		p.want(400, "PUT", "/files?path="+f+"&offset="+n, "x")
		p.want(400, "POST", "/truncate?path="+f+"&size="+n, "")
		p.want(400, "GET", h+"/read?offset="+n, "")
		p.want(200, "GET", h+"/read?offset=0&size="+n, "")
		p.want(400, "PUT", h+"/write?offset="+n, "x")
		p.want(400, "POST", h+"/seek?offset="+n, "")
		p.want(400, "POST", h+"/truncate?size="+n, "")
		p.want(400, "GET", "/directories?path="+p.dir+"&limit="+n, "")
		p.want(400, "GET", "/files?path="+f+"&min_index="+n, "")
	}
	for _, n := range []string{"1e3", "0x1", "", "+1", "99999999999999999999"} {
		p.want(400, "GET", "/files?path="+f+"&offset="+strings.ReplaceAll(n, "+", "%2B"), "")
	}
	p.want(200, "POST", h+"/seek?offset=-3&whence=2", "")
	p.want(400, "POST", h+"/seek?offset=-4&whence=2", "")
	p.want(400, "POST", h+"/seek?offset=-9223372036854775808&whence=2", "")
	p.want(400, "POST", h+"/seek?offset=9223372036854775807&whence=2", "")
	p.reads(f, "abc")
}
