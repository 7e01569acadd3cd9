package mcp_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/gateway/mcp"
)

type listed struct {
	Entries   []struct{ Name, Type, ETag, Error string }
	Truncated bool
	Next      string
}

func (l listed) names() (out []string) {
	for _, e := range l.Entries {
		out = append(out, e.Name)
	}
	return out
}

// TestListPages goes through trees with pages of every size: each entry comes once,
// and in order.
func TestListPages(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	for _, f := range []string{"a", "b/x", "b/y/1", "b/y/2", "b.c", "d/e/f/g", "z"} {
		a.must("write", args{"path": "/memfs/t/" + f, "content": "x"}, nil)
	}
	if err := a.tree.Symlink(t.Context(), "b", "/memfs/t/link"); err != nil {
		t.Fatal(err)
	}
	flat := []string{"a", "b", "b.c", "d", "link", "z"}
	deep := []string{"a", "b", "b/x", "b/y", "b/y/1", "b/y/2", "b.c", "d", "d/e", "d/e/f", "d/e/f/g", "link", "z"}
	for limit := 1; limit <= len(deep)+1; limit++ {
		for recursive, want := range map[bool][]string{false: flat, true: deep} {
			var got []string
			for next := ""; ; {
				var out listed
				a.must("list", args{"path": "/memfs/t", "recursive": recursive, "limit": limit, "cursor": next}, &out)
				got = append(got, out.names()...)
				if len(out.Entries) > limit || out.Truncated != (out.Next != "") {
					t.Fatalf("limit %d: %+v", limit, out)
				}
				if next = out.Next; next == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("limit %d, recursive %t:\n got %q\nwant %q", limit, recursive, got, want)
			}
		}
	}
	var out listed
	a.must("list", args{"path": "/memfs/t/a"}, &out)
	if len(out.Entries) != 1 || out.Entries[0].ETag == "" || out.Entries[0].Type != "file" {
		t.Errorf("a file: %+v", out)
	}
	a.must("list", args{"path": "/memfs/t", "limit": 1}, &out)
	for _, c := range []string{"nonsense", "%%%", "bnVsbA", strings.Repeat("A", 10000)} {
		a.refused("list", args{"path": "/memfs/t", "cursor": c}, "(invalid)", "or without one")
	}
	a.refused("list", args{"path": "/memfs", "cursor": out.Next}, "(invalid)") // of another directory
	a.refused("list", args{"path": "/memfs/t", "limit": -1}, "(invalid)")
}

// TestListIsBounded lists more than fits, with a limit that asks for all.
func TestListIsBounded(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	for i := range 650 {
		a.file(fmt.Sprintf("/memfs/%04d", i), "")
	}
	var out listed
	r := a.must("list", args{"path": "/memfs", "limit": 1 << 40}, &out)
	if n := len(out.Entries); n < 400 || n > 649 || !out.Truncated || len(text(r)) > 128<<10 {
		t.Errorf("%d entries, %d bytes, truncated %t", n, len(text(r)), out.Truncated)
	}
}

// pages notes how many entries are asked for of each directory.
type pages map[string]int

// RoundTrip implements http.RoundTripper.
func (p pages) RoundTrip(r *http.Request) (*http.Response, error) {
	if q := r.URL.Query(); strings.HasSuffix(r.URL.Path, "/directories") {
		n, err := strconv.Atoi(q.Get("limit"))
		if err != nil {
			return nil, err
		}
		p[q.Get("path")] = max(p[q.Get("path")], n)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestListIsShallow lists a tree that is deep and wide: of the directories that it is
// in it holds little, and it does not go down for ever.
func TestListIsShallow(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	a.must("write", args{"path": "/memfs/t" + strings.Repeat("/d", 40) + "/f"}, nil)
	for i := range 250 {
		a.file(fmt.Sprintf("/memfs/t/d/%03d", i), "")
	}
	asked := pages{}
	c, err := client.New(client.Config{URLs: []string{a.node.URL}, HTTP: &http.Client{Transport: asked}})
	if err != nil {
		t.Fatal(err)
	}
	a.connect(mcp.Config{Client: c}, nil)
	var out listed
	a.must("list", args{"path": "/memfs/t", "recursive": true, "limit": 1000}, &out)
	last := out.Entries[len(out.Entries)-1]
	if len(out.Entries) != 1+250+32 || last.Name != "d"+strings.Repeat("/d", 32) || !strings.HasPrefix(last.Error, "too deep") || out.Truncated {
		t.Errorf("%d entries, the last %+v", len(out.Entries), last)
	}
	for dir, n := range asked {
		if n > 100 && dir != "/memfs/t" {
			t.Fatalf("%d entries of %s are asked for", n, dir)
		}
	}
}

func TestSearch(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	for i := range 30 {
		a.file(fmt.Sprintf("/memfs/f%02d.txt", i), fmt.Sprintf("nothing\nfound %d here\n", i))
	}
	a.file("/memfs/g.go", "Found it"+strings.Repeat("!", 1000))
	type found struct {
		Matches []struct {
			File, Text string
			Line       int
		}
		Truncated bool
		Next      string
	}
	var got []string
	pages := 0
	for next := ""; ; pages++ {
		var out found
		a.must("search", args{"path": "/memfs", "pattern": "^found", "limit": 7, "cursor": next}, &out)
		for _, m := range out.Matches {
			got = append(got, m.Text)
		}
		if next = out.Next; next == "" {
			break
		}
	}
	if slices.Sort(got); len(got) != 30 || len(slices.Compact(got)) != 30 || pages != 4 {
		t.Errorf("%d matches on %d pages", len(got), pages+1)
	}
	var out found
	a.must("search", args{"path": "/memfs", "pattern": "^found", "glob": "*.go", "ignore_case": true}, &out)
	if len(out.Matches) != 1 || out.Matches[0].File != "/memfs/g.go" || len(out.Matches[0].Text) > 320 {
		t.Errorf("with a glob: %+v", out)
	}
	out = found{}
	a.must("search", args{"path": "/memfs/f07.txt", "pattern": "here"}, &out)
	if len(out.Matches) != 1 || out.Matches[0].Line != 2 {
		t.Errorf("one file: %+v", out)
	}
	a.refused("search", args{"path": "/memfs", "pattern": "("}, "(invalid)")
	a.refused("search", args{"path": "/memfs", "pattern": "x", "glob": "["}, "(invalid)", "glob")
	a.refused("search", args{"path": "/memfs", "pattern": "y", "cursor": "x"}, "(invalid)")
	a.refused("search", args{"path": "/memfs/none", "pattern": "y"}, "(not_found)")
}

func TestWait(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	var out struct {
		Changed, Exists bool
		ETag            string
	}
	a.file("/memfs/f", "1")
	a.must("list", args{"path": "/memfs/f"}, nil)
	a.must("wait", args{"path": "/memfs/f", "etag": "\"1\""}, &out)
	if !out.Changed || out.ETag == "" {
		t.Errorf("an older version: %+v", out)
	}
	go func() { a.file("/memfs/later", "x") }()
	a.must("wait", args{"path": "/memfs/later", "etag": "none", "seconds": 20}, &out) // it is not there: changed at once
	if !out.Changed {
		t.Errorf("one that is not there: %+v", out)
	}
	etag := out.ETag
	out.Changed = true
	a.must("wait", args{"path": "/memfs/f", "seconds": 1}, &out)
	if out.Changed || !out.Exists {
		t.Errorf("one that stays: %+v (%s)", out, etag)
	}
	a.refused("wait", args{"path": "/memfs/f", "seconds": -1}, "(invalid)")
}

// TestSubscription is told of a change of a resource, by the protocol as it is and
// as it was.
func TestSubscription(t *testing.T) {
	for _, protocol := range []string{"", "2025-06-18"} {
		a := newAgent(t, mcp.Config{})
		a.file("/memfs/f", "1")
		told := make(chan string, 10)
		a.protocol = protocol
		a.connect(mcp.Config{}, &sdk.ClientOptions{ResourceUpdatedHandler: func(_ context.Context, r *sdk.ResourceUpdatedNotificationRequest) {
			told <- r.Params.URI
		}})
		if err := a.c.Subscribe(t.Context(), &sdk.SubscribeParams{URI: "pfs:///memfs/f"}); err != nil {
			t.Fatal(err)
		}
		deadline := time.After(30 * time.Second)
		// The newest protocol does not say when it has begun to look.
		again := time.NewTicker(200 * time.Millisecond)
		defer again.Stop()
		for n, heard := 2, false; !heard; n++ {
			a.file("/memfs/f", fmt.Sprint(n))
			select {
			case uri := <-told:
				if heard = true; uri != "pfs:///memfs/f" {
					t.Errorf("told of %s", uri)
				}
			case <-again.C:
			case <-deadline:
				t.Fatalf("protocol %q: nothing was told", protocol)
			}
		}
		if err := a.c.Unsubscribe(t.Context(), &sdk.UnsubscribeParams{URI: "pfs:///memfs/f"}); err != nil {
			t.Error(err)
		}
	}
}

// TestResources reads files by their URIs.
func TestResources(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	a.file("/memfs/ü?#%.txt", "text")
	list, err := a.c.ListResourceTemplates(t.Context(), nil)
	if err != nil || len(list.ResourceTemplates) != 1 {
		t.Fatalf("%v %+v", err, list)
	}
	res, err := a.c.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "pfs:///memfs/%C3%BC%3F%23%25.txt"})
	if err != nil || res.Contents[0].Text != "text" || res.Contents[0].MIMEType != "text/plain" {
		t.Errorf("%v %+v", err, res)
	}
	a.file("/memfs/big", strings.Repeat("x", 2<<20))
	for uri, want := range map[string]string{
		"pfs:///memfs/big": "too_large", "pfs:///memfs/none": "not_found", "pfs:///memfs": "is_directory",
		"pfs:///dev/zero": "without an end", "pfs://host/memfs/f": "not found",
	} {
		if _, err := a.c.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", uri, err, want)
		}
	}
}
