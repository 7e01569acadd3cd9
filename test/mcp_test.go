package test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
)

// agent is a client of the Model Context Protocol.
type agent struct {
	*sdk.ClientSession
	t *testing.T
}

// stdioAgent starts pfs mcp against a node, as agents do.
func stdioAgent(t *testing.T, n *harness.Node, bin string, flags ...string) *agent {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "pfs"), append([]string{"--url", n.URL, "mcp"}, flags...)...)
	return newAgent(t, &sdk.CommandTransport{Command: cmd})
}

// httpAgent talks to a node's /mcp.
func httpAgent(t *testing.T, n *harness.Node) *agent {
	t.Helper()
	return newAgent(t, &sdk.StreamableClientTransport{Endpoint: n.URL + "/mcp"})
}

func newAgent(t *testing.T, to sdk.Transport) *agent {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := sdk.NewClient(&sdk.Implementation{Name: "test"}, nil).Connect(ctx, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &agent{s, t}
}

type args = map[string]any

// call calls a tool, and again as long as it is told to, as an agent does: a leader may
// be elected meanwhile. What may have been done is not repeated.
func (a *agent) call(tool string, in args) (r *sdk.CallToolResult, err error) {
	harness.Poll(time.Minute, func() bool {
		r, err = a.CallTool(a.t.Context(), &sdk.CallToolParams{Name: tool, Arguments: in})
		return err != nil || !r.IsError || !strings.Contains(words(r), "(unavailable)") || strings.Contains(words(r), "may have been done")
	})
	return r, err
}

// do calls a tool that is to succeed and returns its structured answer.
func (a *agent) do(tool string, in args) args {
	a.t.Helper()
	r, err := a.call(tool, in)
	if err != nil || r.IsError {
		a.t.Fatalf("%s %v: %v %s", tool, in, err, words(r))
	}
	out, _ := r.StructuredContent.(args)
	return out
}

// fails calls a tool that is to answer an error with words in it, not to break the
// protocol.
func (a *agent) fails(tool string, in args, want ...string) {
	a.t.Helper()
	r, err := a.call(tool, in)
	if err != nil || !r.IsError {
		a.t.Errorf("%s %.100v: %v, no error of the tool: %.200s", tool, in, err, words(r))
		return
	}
	for _, w := range want {
		if !strings.Contains(words(r), w) {
			a.t.Errorf("%s %.100v: no %q in %q", tool, in, w, words(r))
		}
	}
}

func words(r *sdk.CallToolResult) string {
	if r == nil || len(r.Content) == 0 {
		return ""
	}
	if t, ok := r.Content[0].(*sdk.TextContent); ok {
		return t.Text
	}
	return ""
}

// TestMCP drives every tool through the real programs, by the SDK's own client: over
// stdio and HTTP, on one node and through a follower of three.
func TestMCP(t *testing.T) {
	bin := harness.Build(t)
	for _, nodes := range []int{1, 3} {
		c := harness.Start(t, harness.Options{Nodes: nodes, Bin: bin})
		n := c.Nodes[0]
		for _, other := range c.Nodes {
			if nodes > 1 && other != c.Leader() {
				n = other
			}
		}
		for i, a := range []*agent{stdioAgent(t, n, bin), httpAgent(t, n)} {
			dir := fmt.Sprintf("/memfs/agent%d", i)
			queue := fmt.Sprintf("/queuefs/agent%d", i)
			everyTool(t, a, dir, queue)
			misuse(t, a, dir)
		}
		c.SameDigest()
	}
}

func everyTool(t *testing.T, a *agent, dir, queue string) {
	t.Helper()
	list, err := a.ListTools(t.Context(), nil)
	if err != nil || len(list.Tools) != 10 {
		t.Fatalf("%v: %d tools", err, len(list.Tools))
	}
	used := map[string]bool{}
	do := func(tool string, in args) args {
		t.Helper()
		used[tool] = true
		return a.do(tool, in)
	}
	f := dir + "/notes.md"
	etag := do("write", args{"path": f, "content": "one\ntwo\n"})["etag"]
	if etag == "" {
		t.Error("write answers no version")
	}
	if got := do("read", args{"path": f, "offset": 2}); got["text"] != "2\ttwo\n" || got["etag"] != etag {
		t.Errorf("read: %v", got)
	}
	if got := do("edit", args{"path": f, "old": "two", "new": "three"}); got["replaced"] != 1.0 || got["line"] != 2.0 {
		t.Errorf("edit: %v", got)
	}
	if got := do("wait", args{"path": f, "etag": etag, "seconds": 20}); got["changed"] != true {
		t.Errorf("wait: %v", got)
	}
	if got := do("list", args{"path": dir}); len(got["entries"].([]any)) != 1 {
		t.Errorf("list: %v", got)
	}
	if got := do("search", args{"path": dir, "pattern": "^th"}); len(got["matches"].([]any)) != 1 {
		t.Errorf("search: %v", got)
	}
	do("move", args{"from": f, "to": dir + "/moved"})
	do("remove", args{"path": dir + "/moved"})
	if got := do("mounts", args{"action": "list"}); len(got["mounts"].([]any)) < 5 {
		t.Errorf("mounts: %v", got)
	}
	do("queue", args{"action": "put", "queue": queue, "data": "job"})
	took := do("queue", args{"action": "take", "queue": queue, "wait": 5})["messages"].([]any)[0].(args)
	if took["data"] != "job" {
		t.Errorf("take: %v", took)
	}
	do("queue", args{"action": "ack", "queue": queue, "leases": []any{took["lease"]}})
	if st := do("queue", args{"action": "stats", "queue": queue})["stats"].(args); st["acked_total"] != 1.0 {
		t.Errorf("stats: %v", st)
	}
	for _, tool := range list.Tools {
		if !used[tool.Name] {
			t.Errorf("%s was not called", tool.Name)
		}
	}
	res, err := a.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "pfs:///queuefs/README"})
	if err != nil || !strings.Contains(res.Contents[0].Text, "queue") {
		t.Errorf("resource: %v %+v", err, res)
	}
}

// misuse is what models do wrong. Each is an answer that says what to do, and none
// ends the session.
func misuse(t *testing.T, a *agent, dir string) {
	t.Helper()
	a.do("write", args{"path": dir + "/f", "content": "same same"})
	a.fails("reed", args{"path": dir}, `no tool "reed"`, `"read"`)
	a.fails("read", args{"path": 7}, "arguments")
	a.fails("read", args{"path": dir + "/f", "limit": "many"}, "arguments")
	a.fails("read", args{"path": dir + "/f", "lines": 3}, "arguments")
	a.fails("read", args{}, "path")
	a.fails("read", args{"path": "/../../etc/passwd"}, "(not_found)")
	a.fails("read", args{"path": "a\x00b"}, "(invalid)")
	a.fails("edit", args{"path": dir + "/f", "old": "none", "new": "x"}, "found 0 times", "(conflict)")
	a.fails("edit", args{"path": dir + "/f", "old": "same", "new": "x"}, "found 2 times")
	a.fails("list", args{"path": dir, "cursor": "%%%nonsense"}, "cursor", "(invalid)")
	a.fails("search", args{"path": dir, "pattern": "("}, "(invalid)")
	a.fails("write", args{"path": dir + "/big", "content": strings.Repeat("x", 600<<10)}, "(too_large)", "append")
	a.fails("queue", args{"action": "take", "queue": dir}, "not a queue")
	a.fails("remove", args{"path": "/memfs"}, "(permission)")
	if got := a.do("read", args{"path": dir + "/f", "limit": 1 << 60}); got["text"] != "1\tsame same\n" {
		t.Errorf("after all that: %v", got)
	}
}

// TestMCPScope has an agent try to leave the directory it is held below, on stdio and
// where a server is configured so.
func TestMCPScope(t *testing.T) {
	bin := harness.Build(t)
	c := harness.Start(t, harness.Options{Bin: bin, Config: func(int) string {
		return "mcp: {root: /memfs/a7, read_only: true}\nplugins: {memfs: {path: /memfs}, queuefs: {path: /queuefs}}\n"
	}})
	tree, ctx := c.Client(0), t.Context()
	for _, err := range []error{tree.Mkdir(ctx, "/memfs/a7", 0o755), tree.Mkdir(ctx, "/memfs/a8", 0o755),
		tree.Symlink(ctx, "../a8", "/memfs/a7/side"), tree.Symlink(ctx, "/memfs/a8/secret", "/memfs/a7/file")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"/memfs/a8/secret", "/memfs/a7/own"} {
		if _, err := tree.WriteFile(ctx, f, []byte("of "+f+"\n")); err != nil {
			t.Fatal(err)
		}
	}
	stdio, overHTTP := stdioAgent(t, c.Nodes[0], bin, "--root", "/memfs/a7"), httpAgent(t, c.Nodes[0])
	for _, a := range []*agent{stdio, overHTTP} {
		for _, path := range []string{"/memfs/a8/secret", "../a8/secret", "/memfs/a7/../a8/secret", "side/secret", "file",
			"pfs:///memfs/a8/secret", "pfs:///memfs/a7/%2e%2e/a8/secret", "/", "/memfs"} {
			for _, tool := range []string{"read", "list", "wait"} {
				a.fails(tool, args{"path": path}, "/memfs/a7", "(permission)")
			}
			a.fails("search", args{"path": path, "pattern": "of"}, "(permission)")
		}
		if got := a.do("search", args{"path": "", "pattern": "of"}); len(got["matches"].([]any)) != 1 {
			t.Errorf("search below the root: %v", got)
		}
		if _, err := a.ReadResource(ctx, &sdk.ReadResourceParams{URI: "pfs:///memfs/a7/file"}); err == nil {
			t.Error("a resource is read through a link that leads out")
		}
	}
	overHTTP.fails("write", args{"path": "x", "content": "x"}, "read-only")
	stdio.fails("write", args{"path": "file", "content": "x"}, "(permission)")
	stdio.do("remove", args{"path": "file"}) // the link alone
	if b, err := tree.ReadFile(ctx, "/memfs/a8/secret"); err != nil || string(b) != "of /memfs/a8/secret\n" {
		t.Errorf("what is outside: %q %v", b, err)
	}
}

// TestMCPBrokenInput sends what is no message, and then one that is.
func TestMCPBrokenInput(t *testing.T) {
	bin := harness.Build(t)
	c := harness.Start(t, harness.Options{Bin: bin})
	cmd := exec.Command(filepath.Join(bin, "pfs"), "--url", c.Nodes[0].URL, "mcp")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(2*time.Minute, func() { in.Close() })
	defer late.Stop()
	go func() { // ends with the input
		for _, line := range []string{"{broken", "", "[]", `{"jsonrpc":"1.0","id":1}`, `"text"`, strings.Repeat("x", 5<<20),
			`{"jsonrpc":"2.0","id":9,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`,
			`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
			`{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":"list","arguments":{"path":"/"}}}`} {
			if _, err := io.WriteString(in, line+"\n"); err != nil {
				return
			}
		}
	}()
	var codes []string
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		var m struct {
			ID     any
			Error  struct{ Code int }
			Result any
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Errorf("not JSON: %s", lines.Bytes())
		}
		codes = append(codes, fmt.Sprint(m.ID, " ", m.Error.Code))
		if fmt.Sprint(m.ID) == "10" {
			in.Close() // what is asked right before the end has some seconds only
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("pfs mcp: %v", err)
	}
	want := []string{"<nil> -32700", "<nil> -32600", "<nil> -32600", "<nil> -32600", "<nil> -32600", "9 0", "10 0"}
	if !slices.Equal(codes, want) {
		t.Errorf("answers %q\nwant    %q", codes, want)
	}
}

// TestMCPOverHTTP holds what /mcp refuses before it is looked at, and that it can be
// turned off.
func TestMCPOverHTTP(t *testing.T) {
	bin := harness.Build(t)
	c := harness.Start(t, harness.Options{Bin: bin, Nodes: 1})
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	for _, x := range []struct {
		name, method, body string
		header             map[string]string
		status             int
		code               string
	}{
		{"a ping", "POST", ping, nil, 200, ""},
		{"a type that is not JSON", "POST", ping, map[string]string{"Content-Type": "text/plain"}, 415, "unsupported_media_type"},
		{"broken JSON", "POST", "{", nil, 400, "invalid"},
		{"too long", "POST", `{"x":"` + strings.Repeat("x", 2<<20) + `"}`, nil, 413, "too_large"},
		{"no stream", "GET", "", nil, 405, "method_not_allowed"},
		{"a page of another site", "POST", ping, map[string]string{"Origin": "http://evil.example"}, 403, "permission"},
		{"a page of another site, told by the browser", "POST", ping, map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, "permission"},
		{"a name that was bound to this address", "POST", ping, map[string]string{"Host": "evil.example"}, 403, "permission"},
		{"a version that is not there", "POST", ping, map[string]string{"Mcp-Protocol-Version": "1999-01-01"}, 400, "invalid"},
	} {
		status, body := post(t, c.Nodes[0].URL+"/mcp", x.method, x.body, x.header)
		var e client.Error
		if err := json.Unmarshal(body, &e); status != x.status || err != nil || e.Code != x.code {
			t.Errorf("%s: %d %s %v, want %d %s", x.name, status, body, err, x.status, x.code)
		}
	}
	off := harness.Start(t, harness.Options{Bin: bin, Config: func(int) string { return "mcp: {enabled: false}\n" }})
	if status, body := post(t, off.Nodes[0].URL+"/mcp", "POST", ping, nil); status != 404 {
		t.Errorf("turned off: %d %s", status, body)
	}
}

// TestMCPStop stops a server while agents wait at it: they are answered, and it need
// not lose its patience.
func TestMCPStop(t *testing.T) {
	c := harness.Start(t, harness.Options{Bin: harness.Build(t)})
	n := c.Nodes[0]
	ended := make(chan error, 2)
	calls := []args{{"name": "wait", "arguments": args{"path": "/memfs/never", "seconds": 55}},
		{"name": "queue", "arguments": args{"action": "take", "queue": "/queuefs/q", "wait": 55}}}
	if _, err := n.Client().Enqueue(t.Context(), "/queuefs/q", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Client().Take(t.Context(), "/queuefs/q", client.TakeOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, params := range calls {
		b, err := json.Marshal(args{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			req, err := http.NewRequestWithContext(t.Context(), "POST", n.URL+"/mcp", strings.NewReader(string(b)))
			if err == nil {
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Accept", "application/json, text/event-stream")
				var resp *http.Response
				if resp, err = http.DefaultClient.Do(req); err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
			ended <- err
		}()
	}
	waiting := func() bool {
		_, body := post(t, n.URL+"/metrics", "GET", "", nil)
		for line := range strings.Lines(string(body)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == "pfs_http_requests_in_flight" {
				return value == "4" // both, what the second asks of the node, and this one
			}
		}
		return false
	}
	if !harness.Poll(20*time.Second, waiting) {
		t.Fatal("nobody waits")
	}
	if code := n.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for range calls {
		if err := <-ended; err != nil {
			t.Errorf("an agent that waited: %v", err)
		}
	}
	if strings.Contains(n.Tail(), "requests were cut off") {
		t.Errorf("the server has lost its patience:\n%s", n.Tail())
	}
}

func post(t *testing.T, url, method, body string, header map[string]string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	if h := header["Host"]; h != "" {
		req.Host = h
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b
}
