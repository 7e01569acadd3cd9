package test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// lease is a handle as clients see it.
type lease struct {
	ID      int64 `json:"handle_id"`
	Path    string
	Lease   int
	Expires time.Time `json:"expires_at"`
	Created time.Time `json:"created_at"`
	Last    time.Time `json:"last_access"`
}

// open opens a file and returns the handle's route.
func (w web) open(path, query string, headers ...string) string {
	w.t.Helper()
	return fmt.Sprintf("/handles/%d", w.opened(path, query, headers...).ID)
}

func (w web) opened(path, query string, headers ...string) (l lease) {
	w.t.Helper()
	a := w.want(200, "POST", "/handles/open?path="+path+"&"+query, "", headers...)
	if err := decode(a, &l); err != nil || l.ID == 0 {
		w.t.Errorf("open answers %s (%v)", a.body, err)
	}
	return l
}

// goAgent and pyAgent are how two clients name themselves that number flags
// differently.
const (
	goAgent = "Go-http-client/1.1"
	pyAgent = "python-requests/2.32"
)

// peerFlags opens with the flags of both kinds of client.
func peerFlags(p *peer) {
	file := func(content string) string {
		f := fmt.Sprintf("%s/f%d", p.dir, time.Now().UnixNano())
		if content != "" {
			p.put(f, content)
		}
		return f
	}
	for _, c := range []struct {
		what, query, agent string
		before, after      string // content; "" before: not there
		status             int
	}{
		{"Linux create keeps", "flags=66", goAgent, "kept", "kept", 200},
		{"Linux create makes", "flags=66", goAgent, "", "", 200},
		{"Linux truncate", "flags=514", goAgent, "gone", "", 200},
		{"Linux truncate and create", "flags=577&mode=100644", goAgent, "gone", "", 200},
		{"Linux exclusive", "flags=193", goAgent, "kept", "kept", 409},
		{"Linux exclusive makes", "flags=193&mode=600", goAgent, "", "", 200},
		{"Linux sync", "flags=1052673", goAgent, "kept", "kept", 200},
		{"create keeps", "flags=18&lease=60", pyAgent, "kept", "kept", 200},
		{"create makes", "flags=18&lease=60&mode=420", pyAgent, "", "", 200},
		{"truncate", "flags=66&lease=60", pyAgent, "gone", "", 200},
		{"exclusive", "flags=50&lease=60", pyAgent, "kept", "kept", 409},
		{"exclusive alone", "flags=34&lease=60", pyAgent, "kept", "kept", 409},
		{"no create", "flags=2&lease=60", pyAgent, "", "", 404},
		{"words", "flags=readwrite,create,truncate", "", "gone", "", 200},
		{"read only does not truncate", "flags=64&lease=60", pyAgent, "kept", "kept", 200},
		{"no access mode", "flags=3", "", "kept", "kept", 400},
		{"no number", "flags=nonsense", "", "kept", "kept", 400},
		{"mode not octal", "flags=2&mode=9", "", "kept", "kept", 400},
	} {
		f := file(c.before)
		a := p.want(c.status, "POST", "/handles/open?path="+f+"&"+c.query, "", "User-Agent", c.agent)
		if c.status == 404 {
			continue
		}
		if got := p.want(200, "GET", "/files?path="+f, ""); got.body != c.after {
			p.Errorf("%s: %q became %q (%s)", c.what, c.before, got.body, a.body)
		}
	}
	for query, agent := range map[string]string{"flags=1026": goAgent, "flags=10&lease=60": pyAgent, "flags=append": ""} {
		f := file("log,")
		h := p.open(f, query, "User-Agent", agent)
		p.want(200, "PUT", h+"/write", "one,")
		p.want(200, "PUT", h+"/write", "two")
		p.want(200, "PUT", h+"/write?offset=0", "LOG")
		p.reads(f, "LOG,one,two")
	}
	for query, agent := range map[string]string{"flags=65&mode=100600": goAgent, "flags=17&lease=60&mode=384": pyAgent, "flags=17&lease=60&mode=600": ""} {
		f := file("")
		p.open(f, query, "User-Agent", agent)
		if m := p.stat(f).Mode; m != 0o600 {
			p.Errorf("%s by %s: mode %o", query, agent, m)
		}
	}
}

// peerHandles holds handles through everything that may happen to their file.
func peerHandles(p *peer) {
	peerHandleLeases(p)
	f, g := p.dir+"/f", p.dir+"/d/g"
	p.put(f, "0123456789")
	p.mkdir(p.dir + "/d")
	h := p.open(f, "flags=readwrite")
	for i, want := range []string{"012", "345", "678", "9", ""} {
		a := p.want(200, "GET", h+"/read?size=3", "")
		if a.body != want || a.header.Get("X-Bytes-Read") != strconv.Itoa(len(want)) {
			p.Errorf("read %d: %q, X-Bytes-Read %s", i, a.body, a.header.Get("X-Bytes-Read"))
		}
	}
	var wrote struct {
		Bytes    int64 `json:"bytes_written"`
		Position int64
	}
	if p.json("PUT", h+"/write", "ab", &wrote); wrote.Bytes != 2 || wrote.Position != 12 {
		p.Errorf("write: %+v", wrote)
	}
	if p.json("PUT", h+"/write?offset=1", "X", &wrote); wrote.Bytes != 1 || wrote.Position != 12 {
		p.Errorf("write at an offset: %+v", wrote)
	}
	p.want(200, "POST", "/rename?path="+f, `{"newPath":"`+g+`"}`)
	p.put(f, "another")
	p.want(200, "POST", "/rename?path="+p.dir+"/d", `{"newPath":"`+p.dir+`/e"}`)
	p.want(200, "PUT", h+"/write", "after")
	p.want(200, "POST", h+"/seek?offset=0", "")
	if a := p.want(200, "GET", h+"/read?size=100", ""); a.body != "0X23456789abafter" {
		p.Errorf("after two renames the handle reads %q", a.body)
	}
	p.want(200, "POST", h+"/truncate?size=2", "")
	p.reads(p.dir+"/e/g", "0X")
	p.reads(f, "another")
	p.want(200, "POST", h+"/sync", "")
	p.want(403, "PUT", p.open(f, "")+"/write", "x")
	p.want(403, "GET", p.open(f, "flags=1")+"/read", "")
	p.want(200, "DELETE", "/files?path="+p.dir+"/e/g", "")
	p.put(p.dir+"/e/g", "new under the old name")
	p.want(404, "GET", h+"/read?offset=0", "")
	p.want(404, "PUT", h+"/write?offset=0", "x")
	p.want(404, "DELETE", h, "")
	p.reads(p.dir+"/e/g", "new under the old name")

	p.mount("memfs", p.dir+"/m", "")
	p.put(p.dir+"/m/f", "x")
	h = p.open(p.dir+"/m/f", "")
	p.want(200, "POST", "/unmount", `{"path":"`+p.dir+`/m"}`)
	if a := p.want(404, "GET", h+"/read", ""); !strings.Contains(a.body, "not found") {
		p.Errorf("after unmount: %s", a.body)
	}
	p.mount("memfs", p.dir+"/m", "")
	p.want(404, "GET", h+"/read", "")
	peerHandleEverywhere(p)
	peerHandleLimit(p)
}

// peerHandleLeases lets leases run out, renews them, and lists them.
func peerHandleLeases(p *peer) {
	f := p.dir + "/leased"
	p.put(f, "x")
	long := p.opened(f, "lease=200")
	p.want(400, "POST", "/handles/open?path="+f+"&lease=0", "")
	p.want(400, "POST", "/handles/open?path="+f+"&lease=301", "")
	var renewed lease
	if !harness.Poll(30*time.Second, func() bool { // before it runs out, which a slow machine may not manage
		renewed = p.opened(f, "lease=3")
		a, err := p.do("POST", fmt.Sprintf("/handles/%d/renew?lease=120", renewed.ID), nil)
		return err == nil && a.status == 200
	}) {
		p.Error("a lease cannot be renewed")
	}
	short := p.opened(f, "lease=3")
	if d := time.Until(long.Expires); long.Lease != 200 || d < 150*time.Second || d > 201*time.Second {
		p.Errorf("a lease of 200 s: %+v", long)
	}
	gone := func() bool {
		var out struct{ Handles []lease }
		p.json("GET", "/handles", "", &out)
		return !slices.ContainsFunc(out.Handles, func(l lease) bool { return l.ID == short.ID })
	}
	if !harness.Poll(30*time.Second, gone) {
		p.Error("a lease of 3 s does not run out")
	}
	p.want(404, "GET", fmt.Sprintf("/handles/%d/read", short.ID), "")
	p.want(404, "POST", fmt.Sprintf("/handles/%d/renew", short.ID), "")
	var now lease
	p.json("GET", fmt.Sprintf("/handles/%d", renewed.ID), "", &now)
	if now.Lease != 120 || now.Path != f || !now.Last.After(now.Created) {
		p.Errorf("the renewed handle: %+v", now)
	}
	var out struct {
		Handles    []lease
		Count, Max int
	}
	p.json("GET", "/handles/", "", &out)
	if len(out.Handles) < 2 || out.Count != len(out.Handles) || out.Max != 10_000 {
		p.Errorf("list: %d handles, count %d, max %d", len(out.Handles), out.Count, out.Max)
	}
}

// peerHandleEverywhere opens files of every kind of mount.
func peerHandleEverywhere(p *peer) {
	p.put("/kvfs/keys/peer17", "value")
	p.put("/queuefs/peer17/enqueue", "message")
	for _, c := range []struct{ path, read string }{
		{"/kvfs/keys/peer17", "value"}, {"/hellofs/hello", "Hello, World!\n"}, {"/dev/null", ""},
		{"/queuefs/peer17/size", "1"}, {"/memfs/README", ""}, {"/serverinfofs/version", ""},
	} {
		h := p.open(c.path, "")
		if a := p.want(200, "GET", h+"/read", ""); c.read != "" && a.body != c.read {
			p.Errorf("a handle on %s reads %q", c.path, a.body)
		}
		p.want(200, "GET", h+"/stat", "")
		p.want(200, "DELETE", h, "")
		p.want(404, "DELETE", h, "")
	}
	h := p.open("/queuefs/peer17/enqueue", "flags=writeonly")
	p.want(200, "PUT", h+"/write", "second")
	p.reads("/queuefs/peer17/size", "2")
	h = p.open("/queuefs/peer17/dequeue", "")
	a := p.want(200, "GET", h+"/read", "")
	again := p.want(200, "GET", h+"/read?offset=0", "")
	if !strings.Contains(a.body, `"message"`) || a.body != again.body {
		p.Errorf("a handle takes %q, then %q", a.body, again.body)
	}
	p.reads("/queuefs/peer17/size", "1")
}

// peerHandleLimit opens more than the limit, on a node of its own.
func peerHandleLimit(p *peer) {
	w := newWeb(p, harness.Start(p, harness.Options{}).Nodes[0])
	w.put("/memfs/f", "x")
	w.opened("/memfs/f", "lease=300")
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes := map[int]int{}
	for range 8 {
		wg.Go(func() {
			c := &http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			for range 1260 {
				resp, err := c.Post(w.url+"/handles/open?path=/memfs/f&lease=300", "", nil)
				if err != nil {
					p.Error(err)
					return
				}
				drain(resp)
				mu.Lock()
				codes[resp.StatusCode]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if codes[200] != 9_999 || codes[429] != 8*1260-9_999 {
		p.Errorf("10,080 opened beside one: %v", codes)
	}
	w.reads("/memfs/f", "x")
}
