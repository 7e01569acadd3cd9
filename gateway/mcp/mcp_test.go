package mcp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/gateway/mcp"
	"github.com/pfs-project/pfs/plugins/devfs"
	"github.com/pfs-project/pfs/plugins/kvfs"
	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/plugins/queuefs"
	"github.com/pfs-project/pfs/plugins/streamfs"
	"github.com/pfs-project/pfs/vfs"
)

// agent is a client of the protocol and the tree behind it.
type agent struct {
	t    *testing.T
	c    *sdk.ClientSession
	tree *client.Client
	node *apitest.Server

	protocol string // for the next connect; "": the newest
}

func newAgent(t *testing.T, cfg mcp.Config) *agent {
	t.Helper()
	node := apitest.Start(t, apitest.Config{Level: true,
		Plugins: []vfs.Plugin{memfs.Plugin(), kvfs.Plugin(), queuefs.Plugin(), devfs.Plugin(), streamfs.Plugin()},
		Mounts:  map[string]string{"/memfs": "memfs", "/kvfs": "kvfs", "/queuefs": "queuefs", "/dev": "devfs", "/streamfs": "streamfs"},
	})
	tree, err := client.New(client.Config{URLs: []string{node.URL}, NoWait: true, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, tree: tree, node: node}
	a.connect(cfg, nil)
	return a
}

// connect starts a server over the tree and a client of it.
func (a *agent) connect(cfg mcp.Config, o *sdk.ClientOptions) {
	a.t.Helper()
	if cfg.Client == nil {
		cfg.Client = a.tree
	}
	cfg.Version = "test"
	s, err := mcp.New(cfg)
	if err != nil {
		a.t.Fatal(err)
	}
	a.c = serve(a.t, s, o, a.protocol)
}

// call calls a tool.
func (a *agent) call(tool string, in args) (*sdk.CallToolResult, error) {
	return a.c.CallTool(a.t.Context(), &sdk.CallToolParams{Name: tool, Arguments: in})
}

// must calls a tool that is to succeed and decodes its structured answer.
func (a *agent) must(tool string, in args, out any) *sdk.CallToolResult {
	a.t.Helper()
	r, err := a.call(tool, in)
	if err != nil || r.IsError {
		a.t.Fatalf("%s %v: %v %s", tool, in, err, text(r))
	}
	b, err := json.Marshal(r.StructuredContent)
	if err == nil && out != nil {
		err = json.Unmarshal(b, out)
	}
	if err != nil {
		a.t.Fatalf("%s %v: %v", tool, in, err)
	}
	return r
}

// refused calls a tool that is to fail as tools do, and says what must be in it.
func (a *agent) refused(tool string, in args, words ...string) {
	a.t.Helper()
	r, err := a.call(tool, in)
	if err != nil {
		a.t.Errorf("%s %.200v: an error of the protocol: %v", tool, in, err)
		return
	}
	if !r.IsError {
		a.t.Errorf("%s %.200v: succeeded: %s", tool, in, text(r))
	}
	for _, w := range words {
		if !strings.Contains(text(r), w) {
			a.t.Errorf("%s %.200v: no %q in %q", tool, in, w, text(r))
		}
	}
}

func text(r *sdk.CallToolResult) string {
	if r == nil {
		return ""
	}
	var b strings.Builder
	for _, c := range r.Content {
		if t, ok := c.(*sdk.TextContent); ok {
			b.WriteString(t.Text)
		}
	}
	return b.String()
}

func (a *agent) file(path, content string) {
	a.t.Helper()
	if _, err := a.tree.WriteFile(a.t.Context(), path, []byte(content)); err != nil {
		a.t.Fatal(err)
	}
}

func (a *agent) content(path string) string {
	a.t.Helper()
	b, err := a.tree.ReadFile(a.t.Context(), path)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(b)
}

type args = map[string]any

// TestToolList holds what a model is told before its first call: how many tools, how
// they are marked, and how much of its context they take.
func TestToolList(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		a := newAgent(t, mcp.Config{ReadOnly: readOnly})
		list, err := a.c.ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		tokens := float64(len(b)) / 3.5
		t.Logf("read-only %t: %d tools, %d bytes of JSON, %.0f tokens at 3.5 bytes", readOnly, len(list.Tools), len(b), tokens)
		if tokens >= 3000 || len(list.Tools) > 10 || !readOnly && len(list.Tools) != 10 {
			t.Errorf("%d tools of %.0f tokens, want at most 10 of less than 3000", len(list.Tools), tokens)
		}
		for _, tool := range list.Tools {
			h := tool.Annotations
			switch {
			case h == nil || !h.ReadOnlyHint && h.DestructiveHint == nil || h.OpenWorldHint == nil:
				t.Errorf("%s: annotations are missing", tool.Name)
			case readOnly && !h.ReadOnlyHint:
				t.Errorf("%s is not read-only", tool.Name)
			case tool.OutputSchema == nil:
				t.Errorf("%s has no output schema", tool.Name)
			case strings.Count(tool.Description, ". ") > 0 || !strings.HasSuffix(tool.Description, "."):
				t.Errorf("%s: not one sentence: %s", tool.Name, tool.Description)
			}
		}
	}
}

func TestReadLines(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	var b strings.Builder
	for i := 1; i <= 5000; i++ {
		fmt.Fprintf(&b, "line %d\r\n", i)
	}
	a.file("/memfs/long", b.String())
	var out struct {
		Text                     string
		Lines, Total, Next       int
		Truncated, Cut           bool
		Size                     int64
		ETag, Link, Path, Binary string
	}
	r := a.must("read", args{"path": "/memfs/long"}, &out)
	if out.Lines != 2000 || out.Total != 5000 || out.Next != 2001 || !out.Truncated || !strings.HasPrefix(out.Text, "1\tline 1\n2\tline 2\n") {
		t.Errorf("read: %+.100v", out)
	}
	if !strings.Contains(text(r), "[truncated: 2000 lines of 5000; go on with offset 2001]") {
		t.Errorf("no footer: %q", text(r)[len(text(r))-100:])
	}
	seen := 0
	for next := 1; next > 0; next = out.Next {
		out.Next = 0
		a.must("read", args{"path": "/memfs/long", "offset": next, "limit": 700}, &out)
		for line := range strings.Lines(out.Text) {
			if seen++; line != fmt.Sprintf("%d\tline %d\n", seen, seen) {
				t.Fatalf("line %d is %q", seen, line)
			}
		}
	}
	if seen != 5000 {
		t.Errorf("%d lines in pages", seen)
	}
	a.must("read", args{"path": "/memfs/long", "limit": 1 << 40}, &out)
	if out.Lines != 2000 {
		t.Errorf("a huge limit reads %d lines", out.Lines)
	}
	a.refused("read", args{"path": "/memfs/long", "offset": 5001}, "has 5000 lines", "(range)", "5000 at most")
	a.refused("read", args{"path": "/memfs/long", "offset": -1}, "(invalid)")
	a.refused("read", args{"path": "/memfs/none"}, "/memfs/none", "(not_found)", "List its directory")
	a.refused("read", args{"path": "/memfs"}, "(is_directory)", "List it")
}

func TestReadOdd(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	var out struct {
		Text               string
		Lines, Total, Next int
		Truncated, Cut     bool
		Link               string
	}
	a.file("/memfs/empty", "")
	if r := a.must("read", args{"path": "/memfs/empty"}, &out); text(r) != "[the file is empty]\n" {
		t.Errorf("empty: %q", text(r))
	}
	a.file("/memfs/one", "no newline, é")
	a.must("read", args{"path": "pfs:///memfs/one"}, &out)
	if out.Text != "1\tno newline, é\n" || out.Total != 1 {
		t.Errorf("one: %+v", out)
	}
	a.file("/memfs/wide", strings.Repeat("x", 200<<10)+"\nend\n")
	r := a.must("read", args{"path": "/memfs/wide"}, &out)
	if !out.Cut || !out.Truncated || len(text(r)) > 64<<10 || out.Next != 2 {
		t.Errorf("wide: %d bytes, cut %t, next %d, %d lines", len(text(r)), out.Cut, out.Next, out.Lines)
	}
	out.Cut = false
	a.must("read", args{"path": "/memfs/wide", "offset": 2}, &out)
	if out.Text != "2\tend\n" || out.Cut {
		t.Errorf("behind a wide line: %+v", out)
	}
	a.file("/memfs/big", strings.Repeat(strings.Repeat("y", 1023)+"\n", 5<<10)) // 5 MiB
	r = a.must("read", args{"path": "/memfs/big", "offset": 5000}, &out)
	if out.Total != 5120 || out.Lines == 0 || len(text(r)) > 64<<10 {
		t.Errorf("5 MiB: %d lines of %d, %d bytes", out.Lines, out.Total, len(text(r)))
	}
	a.file("/memfs/a b.bin", "\x00\x01binary")
	r = a.must("read", args{"path": "/memfs/a b.bin"}, &out)
	if out.Link != "pfs:///memfs/a%20b.bin" {
		t.Errorf("binary: %+v", out)
	}
	if l, ok := r.Content[0].(*sdk.ResourceLink); !ok || l.URI != out.Link || *l.Size != 8 || len(r.Content) != 1 {
		t.Errorf("binary: %+v", r.Content[0])
	}
	res, err := a.c.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: out.Link})
	if err != nil || string(res.Contents[0].Blob) != "\x00\x01binary" {
		t.Errorf("resource: %v %+v", err, res)
	}
	a.file("/memfs/p.png", "\x89PNG\r\n\x1a\n\x00rest")
	r = a.must("read", args{"path": "/memfs/p.png"}, &out)
	if i, ok := r.Content[1].(*sdk.ImageContent); !ok || i.MIMEType != "image/png" || len(i.Data) != 13 {
		t.Errorf("image: %+v", r.Content)
	}
	a.refused("read", args{"path": "/streamfs/none"}, "(not_found)")
	a.file("/streamfs/s", "x")
	a.refused("read", args{"path": "/streamfs/s"}, "pfs cat --stream")
}

// mistake is one that shows when a tool asks for something.
type mistake struct{}

// RoundTrip panics.
func (mistake) RoundTrip(*http.Request) (*http.Response, error) { panic("a mistake in a tool") }

// TestPanic has tools panic: they fail, and the server goes on.
func TestPanic(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	c, err := client.New(client.Config{URLs: []string{a.node.URL}, HTTP: &http.Client{Transport: mistake{}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, agfs := range []bool{false, true} {
		var said bytes.Buffer
		a.connect(mcp.Config{Client: c, AGFS: agfs, Log: slog.New(slog.NewTextHandler(&said, nil))}, nil)
		tool := map[bool]string{false: "read", true: "agfs_cat"}[agfs]
		for range 2 {
			a.refused(tool, args{"path": "/memfs/f"}, "(internal)", tool)
		}
		if _, err := a.c.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "pfs:///memfs/f"}); err == nil || !strings.Contains(err.Error(), "(internal)") {
			t.Errorf("resource: %v", err)
		}
		if !strings.Contains(said.String(), "a mistake in a tool") || !strings.Contains(said.String(), "RoundTrip") {
			t.Errorf("logged: %s", said.String())
		}
	}
}
