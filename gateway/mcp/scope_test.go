package mcp_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/gateway/mcp"
)

// plant makes a tree with a way out of /memfs/a7 of every kind.
func plant(a *agent) {
	a.t.Helper()
	ctx := a.t.Context()
	for _, dir := range []string{"/memfs/a7", "/memfs/a7/in", "/memfs/a8", "/memfs/a70"} {
		if err := a.tree.Mkdir(ctx, dir, 0o755); err != nil {
			a.t.Fatal(err)
		}
	}
	a.file("/memfs/a8/secret", "secret")
	a.file("/memfs/a70/secret", "secret")
	a.file("/memfs/a7/own", "own")
	a.file("/memfs/a7/in/f", "inside")
	for link, target := range map[string]string{
		"/memfs/a7/abs": "/memfs/a8", "/memfs/a7/rel": "../a8", "/memfs/a7/in/deep": "../../a8/secret", "/memfs/a7/chain": "rel",
		"/memfs/a7/near": "/memfs/a70", "/memfs/a7/up": "..", "/memfs/a7/dangling": "/memfs/a8/new", "/memfs/a7/top": "/",
		"/memfs/a7/good": "in/f", "/memfs/a7/gooddir": "/memfs/a7/in", "/memfs/a7/self": ".", "/memfs/a7/loop": "loop",
		"/memfs/a7/fresh": "in/fresh",
	} {
		if err := a.tree.Symlink(ctx, target, link); err != nil {
			a.t.Fatalf("%s: %v", link, err)
		}
	}
}

// TestScope tries every tool on every way out.
func TestScope(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	plant(a)
	digest := a.node.Digest(t)
	a.protocol = "2025-06-18" // which tells at once what cannot be subscribed to
	a.connect(mcp.Config{Root: "/memfs/a7"}, nil)
	for _, path := range []string{
		"/memfs/a8/secret", "/memfs/a70/secret", "../a8/secret", "in/../../a8/secret", "/.", "/memfs", "..", "pfs:///memfs/a8/secret",
		"abs/secret", "rel/secret", "in/deep", "chain/secret", "near/secret", "up/a8/secret", "dangling", "top/memfs/a8/secret",
		"self/self/rel/secret", "gooddir/deep", "/memfs/a7/./in//deep", "up", "top",
	} {
		for tool, more := range map[string]args{"read": {}, "list": {}, "wait": {"seconds": 1}, "search": {"pattern": "s"},
			"write": {"content": "x"}, "edit": {"old": "secret", "new": "x"}} {
			in := args{"path": path}
			for k, v := range more {
				in[k] = v
			}
			a.refused(tool, in, "(permission)", "Only /memfs/a7")
		}
		a.refused("queue", args{"action": "stats", "queue": path}, "(permission)")
		if !strings.HasPrefix(path, "pfs:") {
			if _, err := a.c.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "pfs:///memfs/a7/" + path}); err == nil {
				t.Errorf("resource %s is read", path)
			}
		}
		if err := a.c.Subscribe(t.Context(), &sdk.SubscribeParams{URI: path}); err == nil {
			t.Errorf("subscribed to %s", path)
		}
	}
	for _, path := range []string{"/memfs/a8/secret", "abs/secret", "rel/secret", "up/a8/secret", "", "/memfs/a7"} {
		a.refused("remove", args{"path": path, "recursive": true}, "(permission)")
		a.refused("move", args{"from": path, "to": "taken"}, "(permission)")
		a.refused("move", args{"from": "own", "to": path}, "(permission)")
	}
	a.refused("write", args{"path": "abs/made/"}, "(permission)")
	a.refused("read", args{"path": "loop"}, "too many levels")
	if got := a.node.Digest(t); got != digest {
		t.Error("what was refused has changed something")
	}
}

// TestForgedCursor goes on where no answer ended: a cursor leads nowhere that the path
// does not.
func TestForgedCursor(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	plant(a)
	a.connect(mcp.Config{Root: "/memfs/a7"}, nil)
	for _, after := range []string{"..", "../..", "../a8", "../a8/a", "in/..", "in/../../a8/a", ".", "/", "in/", "in//f", strings.Repeat("n", 256)} {
		for _, recursive := range []bool{true, false} {
			b, err := json.Marshal(args{"o": fmt.Sprint("list /memfs/a7 ", recursive), "a": after})
			if err != nil {
				t.Fatal(err)
			}
			a.refused("list", args{"path": "/memfs/a7", "recursive": recursive, "cursor": base64.RawURLEncoding.EncodeToString(b)}, "(invalid)", "or without one")
		}
	}
}

// TestScopeInside does what is allowed: links that stay inside are followed, and those
// that do not may be removed.
func TestScopeInside(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	plant(a)
	a.connect(mcp.Config{Root: "/memfs/a7/"}, nil)
	var out struct{ Text, Path string }
	for _, path := range []string{"good", "gooddir/f", "self/in/f", "/memfs/a7/good", "pfs:///memfs/a7/good", "in/../good"} {
		a.must("read", args{"path": path}, &out)
		if out.Text != "1\tinside\n" {
			t.Errorf("%s: %+v", path, out)
		}
	}
	a.must("edit", args{"path": "good", "old": "inside", "new": "edited"}, nil)
	a.must("write", args{"path": "fresh", "content": "through a link to nothing yet"}, nil)
	if a.content("/memfs/a7/in/f") != "edited" || !strings.HasPrefix(a.content("/memfs/a7/in/fresh"), "through") {
		t.Error("links inside are not written through")
	}
	a.must("write", args{"path": "more/dirs/f", "content": "x"}, nil)
	a.must("write", args{"path": "good", "content": " twice", "mode": "append"}, nil)
	if got := a.content("/memfs/a7/in/f"); got != "edited twice" {
		t.Errorf("appended: %q", got)
	}
	a.must("move", args{"from": "more/dirs/f", "to": "gooddir/moved"}, nil)
	a.must("remove", args{"path": "rel"}, nil)
	for root, file := range map[string]string{"/streamfs": "s", "/queuefs": "q/enqueue", "/kvfs": "keys/k"} {
		a.connect(mcp.Config{Root: root}, nil)
		for range 3 {
			a.must("write", args{"path": file, "content": "more", "mode": "append"}, nil)
		}
	}
	a.connect(mcp.Config{Root: "/memfs/a7/"}, nil)
	a.must("remove", args{"path": "more", "recursive": true}, nil)
	if got := a.content("/memfs/a8/secret"); got != "secret" {
		t.Errorf("what the link led to: %q", got)
	}
	// A root that is a link itself, which the operator has named.
	if err := a.tree.Symlink(t.Context(), "/memfs/a7", "/memfs/home"); err != nil {
		t.Fatal(err)
	}
	a.connect(mcp.Config{Root: "/memfs/home"}, nil)
	a.must("read", args{"path": "gooddir/f"}, &out)
	a.must("read", args{"path": "/memfs/home/own"}, &out)
	a.refused("read", args{"path": "abs/secret"}, "(permission)")
	a.refused("read", args{"path": "/memfs/a7/own"}, "(permission)")
}

// afterStat does something once a path was looked at and before it is used.
type afterStat struct {
	path string
	do   func()
}

// RoundTrip implements http.RoundTripper.
func (s *afterStat) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if do := s.do; err == nil && do != nil && strings.HasSuffix(r.URL.Path, "/stat") && r.URL.Query().Get("path") == s.path {
		s.do = nil
		do()
	}
	return resp, err
}

// TestScopeRace swaps a file for a link that leads out, between the check and the
// reading or writing. It is not followed.
func TestScopeRace(t *testing.T) {
	for does, in := range map[string]args{"read": {}, "write": {"content": "mine"}, "write more": {"content": "mine", "mode": "append"}, "edit": {"old": "own", "new": "mine"}} {
		tool, _, _ := strings.Cut(does, " ")
		a := newAgent(t, mcp.Config{})
		plant(a)
		swap := &afterStat{path: "/memfs/a7/own", do: func() {
			if err := a.tree.Remove(t.Context(), "/memfs/a7/own"); err != nil {
				t.Error(err)
			}
			if err := a.tree.Symlink(t.Context(), "/memfs/a8/secret", "/memfs/a7/own"); err != nil {
				t.Error(err)
			}
		}}
		c, err := client.New(client.Config{URLs: []string{a.node.URL}, HTTP: &http.Client{Transport: swap}})
		if err != nil {
			t.Fatal(err)
		}
		a.connect(mcp.Config{Root: "/memfs/a7", Client: c}, nil)
		in["path"] = "own"
		r, err := a.call(tool, in)
		if err != nil || !r.IsError || strings.Contains(text(r), "secret\n") {
			t.Errorf("%s: %v %s", does, err, text(r))
		}
		if got := a.content("/memfs/a8/secret"); got != "secret" {
			t.Errorf("%s has changed what is outside: %q", does, got)
		}
	}
}

// TestScopeRaceForNew puts a link that leads out where nothing was, between the check
// and the writing: one to a file, and one to nothing yet. Neither is followed.
func TestScopeRaceForNew(t *testing.T) {
	for _, target := range []string{"/memfs/a8/secret", "/memfs/a8/planted"} {
		for _, mode := range []string{"replace", "append", "create", "agfs"} {
			a := newAgent(t, mcp.Config{})
			plant(a)
			plants := &afterStat{path: "/memfs/a7/new", do: func() {
				if err := a.tree.Symlink(t.Context(), target, "/memfs/a7/new"); err != nil {
					t.Error(err)
				}
			}}
			c, err := client.New(client.Config{URLs: []string{a.node.URL}, HTTP: &http.Client{Transport: plants}})
			if err != nil {
				t.Fatal(err)
			}
			a.connect(mcp.Config{Root: "/memfs/a7", Client: c, AGFS: mode == "agfs"}, nil)
			tool, in := "write", args{"path": "new", "content": "mine", "mode": mode}
			if mode == "agfs" {
				tool, in = "agfs_write", args{"path": "/memfs/a7/new", "content": "mine"}
			}
			if r, err := a.call(tool, in); err != nil || !r.IsError {
				t.Errorf("%s to %s: %v %s", mode, target, err, text(r))
			}
			if got := a.content("/memfs/a8/secret"); got != "secret" {
				t.Errorf("%s has changed what is outside: %q", mode, got)
			}
			if _, err := a.tree.Stat(t.Context(), "/memfs/a8/planted"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s has made a file outside: %v", mode, err)
			}
		}
	}
}

// TestAppendsUnderRoot has agents append to one file at once, that none of them finds.
func TestAppendsUnderRoot(t *testing.T) {
	a := newAgent(t, mcp.Config{Root: "/memfs"})
	const agents, each = 8, 15
	var wg sync.WaitGroup
	for i := range agents {
		wg.Go(func() {
			for n := range each {
				r, err := a.call("write", args{"path": "log", "content": fmt.Sprintf("%d.%d\n", i, n), "mode": "append"})
				if err != nil || r.IsError {
					t.Errorf("agent %d, line %d: %v %s", i, n, err, text(r))
				}
			}
		})
	}
	wg.Wait()
	lines := strings.Fields(a.content("/memfs/log"))
	slices.Sort(lines)
	if n := len(slices.Compact(slices.Clone(lines))); len(lines) != agents*each || n != agents*each {
		t.Errorf("%d lines, %d of them different, want %d", len(lines), n, agents*each)
	}
}

// TestReadOnly offers nothing that changes, and says so to who asks for it.
func TestReadOnly(t *testing.T) {
	a := newAgent(t, mcp.Config{ReadOnly: true})
	a.file("/memfs/f", "x")
	for _, tool := range []string{"write", "edit", "move", "remove", "queue", "mounts"} {
		a.refused(tool, args{"path": "/memfs/f"}, "read-only", "read, search, wait")
	}
	a.must("read", args{"path": "/memfs/f"}, nil)
	a.connect(mcp.Config{ReadOnly: true, AGFS: true}, nil)
	a.refused("agfs_write", args{"path": "/memfs/f", "content": "y"}, "read-only")
	if _, err := a.tree.Enqueue(t.Context(), "/queuefs/q", []byte("m")); err != nil {
		t.Fatal(err)
	}
	a.refused("agfs_cat", args{"path": "/queuefs/q/dequeue"}, "takes something away")
}

// otherwise answers that what was seen has changed, whenever that matters.
type otherwise struct{ asked atomic.Int32 }

// RoundTrip implements http.RoundTripper.
func (o *otherwise) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("If-Match") == "" {
		return http.DefaultTransport.RoundTrip(r)
	}
	o.asked.Add(1)
	return &http.Response{StatusCode: http.StatusPreconditionFailed, Request: r, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(`{"error":"version does not match","code":"stale"}`))}, nil
}

// What stays stale is answered after a few tries; only appends are tried for long.
func TestStaysStale(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	a.file("/memfs/f", "x")
	o := &otherwise{}
	c, err := client.New(client.Config{URLs: []string{a.node.URL}, HTTP: &http.Client{Transport: o}})
	if err != nil {
		t.Fatal(err)
	}
	a.connect(mcp.Config{Client: c, Root: "/memfs"}, nil)
	for tool, in := range map[string]args{"read": {"path": "/memfs/f"}, "write": {"path": "/memfs/f", "content": "y"}} {
		o.asked.Store(0)
		a.refused(tool, in, "(stale)")
		if n := o.asked.Load(); n < 2 || n > 10 {
			t.Errorf("%s was tried %d times", tool, n)
		}
	}
}
