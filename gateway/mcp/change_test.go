package mcp_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/gateway/mcp"
)

func TestWrite(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	var out struct {
		ETag string
		Size int
	}
	a.must("write", args{"path": "/memfs/d/e/f", "content": "one\n"}, &out) // with its directories
	first := out.ETag
	a.must("write", args{"path": "/memfs/d/e/f", "content": "two\n", "mode": "append"}, &out)
	if got := a.content("/memfs/d/e/f"); got != "one\ntwo\n" || out.Size != 4 {
		t.Errorf("appended: %q %+v", got, out)
	}
	a.refused("write", args{"path": "/memfs/d/e/f", "content": "x", "mode": "create"}, "(exists)", "Choose another path")
	a.refused("write", args{"path": "/memfs/d/e/f", "content": "x", "if_match": first}, "(stale)", "its etag is now "+out.ETag, "read it again")
	a.must("write", args{"path": "/memfs/d/e/f", "content": "x", "if_match": out.ETag}, nil)
	a.must("write", args{"path": "/memfs/d/new", "content": "n", "mode": "create"}, nil)
	a.must("write", args{"path": "/memfs/d/dir/"}, nil)
	if i, err := a.tree.Stat(t.Context(), "/memfs/d/dir"); err != nil || !i.IsDir {
		t.Errorf("directory: %+v %v", i, err)
	}
	a.refused("write", args{"path": "/memfs/d/dir/", "content": "x"}, "(invalid)", "Leave the / out")
	a.refused("write", args{"path": "/memfs/d/new/"}, "(exists)")
	a.refused("write", args{"path": "/memfs/d", "content": "x"}, "(is_directory)")
	a.refused("write", args{"path": "/memfs/x", "mode": "prepend"}, "(invalid)", "append")
	a.refused("write", args{"path": "/memfs/x", "content": strings.Repeat("x", 1<<20)}, "(too_large)")
	a.refused("write", args{"path": "/nowhere/x", "content": "x"}, "(permission)")
}

func TestEdit(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	a.file("/memfs/f", "a\nbb\na\n")
	a.refused("edit", args{"path": "/memfs/f", "old": "zz", "new": "y"}, "found 0 times", "(conflict)", "Nothing was changed")
	a.refused("edit", args{"path": "/memfs/f", "old": "a", "new": "y"}, "found 2 times", "(conflict)", "set all")
	if got := a.content("/memfs/f"); got != "a\nbb\na\n" {
		t.Errorf("a refused edit has changed it: %q", got)
	}
	var out struct{ Replaced, Line int }
	a.must("edit", args{"path": "/memfs/f", "old": "bb\na", "new": "c"}, &out)
	if got := a.content("/memfs/f"); got != "a\nc\n" || out.Replaced != 1 || out.Line != 2 {
		t.Errorf("edited: %q %+v", got, out)
	}
	a.file("/memfs/f", "a a a")
	a.must("edit", args{"path": "/memfs/f", "old": "a", "new": "", "all": true}, &out)
	if got := a.content("/memfs/f"); got != "  " || out.Replaced != 3 {
		t.Errorf("all: %q %+v", got, out)
	}
	a.file("/memfs/bin", "a\x00b")
	a.refused("edit", args{"path": "/memfs/bin", "old": "a", "new": "b"}, "not text")
	a.file("/memfs/big", strings.Repeat("x", 5<<20))
	a.refused("edit", args{"path": "/memfs/big", "old": "x", "new": "y"}, "(too_large)")
	a.refused("edit", args{"path": "/memfs/f", "old": "", "new": "y"}, "(invalid)")
	a.refused("edit", args{"path": "/memfs/none", "old": "x", "new": "y"}, "(not_found)")
	a.refused("edit", args{"path": "/dev/zero", "old": "x", "new": "y"}, "without an end")
}

// TestEditsAreNotLost has many agents each replace their own line at once: each edit
// is there, or its agent was told that it is not.
func TestEditsAreNotLost(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	const agents = 8
	var b strings.Builder
	for i := range agents {
		fmt.Fprintf(&b, "<%d>\n", i)
	}
	a.file("/memfs/f", b.String())
	var wg sync.WaitGroup
	var mu sync.Mutex
	conflicts := 0
	for i := range agents {
		wg.Go(func() {
			for try := 0; try < 100; try++ {
				r, err := a.call("edit", args{"path": "/memfs/f", "old": fmt.Sprintf("<%d>", i), "new": fmt.Sprintf("(%d)", i)})
				if err != nil {
					t.Error(err)
					return
				}
				if !r.IsError {
					return
				}
				if !strings.Contains(text(r), "(stale)") {
					t.Errorf("edit: %s", text(r))
					return
				}
				mu.Lock()
				conflicts++
				mu.Unlock()
			}
			t.Error("no edit in 100 tries")
		})
	}
	wg.Wait()
	if got, want := a.content("/memfs/f"), strings.NewReplacer("<", "(", ">", ")").Replace(b.String()); got != want {
		t.Errorf("after %d edits and %d conflicts:\n%s", agents, conflicts, got)
	}
	t.Logf("%d edits, %d conflicts", agents, conflicts)
}

// before does something before the first write that goes through it.
type before struct {
	once sync.Once
	do   func()
}

// RoundTrip implements http.RoundTripper.
func (b *before) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut {
		b.once.Do(b.do)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestEditConflict has somebody else write the file between the reading and the
// writing of an edit.
func TestEditConflict(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	a.file("/memfs/f", "old and more")
	c, err := client.New(client.Config{URLs: []string{a.node.URL}, HTTP: &http.Client{Transport: &before{do: func() { a.file("/memfs/f", "old, theirs") }}}})
	if err != nil {
		t.Fatal(err)
	}
	a.connect(mcp.Config{Client: c}, nil)
	a.refused("edit", args{"path": "/memfs/f", "old": "old", "new": "new"}, "(stale)", "read it again")
	if got := a.content("/memfs/f"); got != "old, theirs" {
		t.Errorf("after a conflict: %q", got)
	}
	a.must("edit", args{"path": "/memfs/f", "old": "old", "new": "new"}, nil)
	if got := a.content("/memfs/f"); got != "new, theirs" {
		t.Errorf("after the second try: %q", got)
	}
}

func TestMoveAndRemove(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	a.file("/memfs/f", "x")
	a.must("move", args{"from": "/memfs/f", "to": "/memfs/g"}, nil)
	if got := a.content("/memfs/g"); got != "x" {
		t.Errorf("moved: %q", got)
	}
	a.refused("move", args{"from": "/memfs/f", "to": "/memfs/h"}, "(not_found)")
	a.refused("move", args{"from": "/memfs/g", "to": "/memfs/d/"}, "Make the new directory first: write to /memfs/d/")
	a.refused("move", args{"from": "/memfs/g", "to": "/memfs/no/h"}, "Make the new directory first: write to /memfs/no/")
	a.refused("move", args{"from": "/memfs/g", "to": "/kvfs/h"}, "(unsupported)", "then remove the old one")
	a.refused("remove", args{"path": "/"}, "(permission)")
	a.must("write", args{"path": "/memfs/d/x", "content": "x"}, nil)
	a.must("move", args{"from": "/memfs/g", "to": "/memfs/d/"}, nil)
	if got := a.content("/memfs/d/g"); got != "x" {
		t.Errorf("moved into a directory: %q", got)
	}
	a.refused("remove", args{"path": "/memfs/d"}, "(not_empty)", "Set recursive")
	a.must("remove", args{"path": "/memfs/d", "recursive": true}, nil)
	a.refused("remove", args{"path": "/memfs/d"}, "(not_found)")
}

func TestQueue(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	type messages []struct {
		ID, Lease, Data, Binary string
		Attempt                 int
	}
	var out struct {
		Messages messages
		Count    int
		ID       string
		Stats    struct {
			Acked int `json:"acked_total"`
		}
	}
	a.refused("queue", args{"action": "take", "queue": "/queuefs/q"}, "(not_found)", "Put a message to make it")
	a.refused("queue", args{"action": "put", "queue": "/memfs/q", "data": "x"}, "not in a mount of queues")
	a.refused("queue", args{"action": "eat", "queue": "/queuefs/q"}, "redrive")
	for _, data := range []string{"one", "two", strings.Repeat("3", 100<<10)} {
		a.must("queue", args{"action": "put", "queue": "/queuefs/q", "data": data}, &out)
	}
	a.refused("read", args{"path": "/queuefs/q/dequeue"}, "Use the queue tool")
	a.refused("read", args{"path": "/queuefs/q/take"}, "Use the queue tool")
	a.must("search", args{"path": "/queuefs", "pattern": "."}, nil)
	a.must("list", args{"path": "/queuefs", "recursive": true}, nil)
	if st, err := a.tree.QueueStats(t.Context(), "/queuefs/q"); err != nil || st.Ready != 3 || st.Taken != 0 {
		t.Fatalf("other tools have taken: %+v %v", st, err)
	}
	a.must("queue", args{"action": "take", "queue": "/queuefs/q", "max": 3, "seconds": 60}, &out)
	if m := out.Messages; len(m) != 3 || m[0].Data != "one" || m[1].Data != "two" || len(m[2].Data) != 100<<10 {
		t.Fatalf("taken: %.300v", out)
	}
	m := out.Messages
	a.must("queue", args{"action": "ack", "queue": "/queuefs/q", "leases": []string{m[0].Lease}}, nil)
	a.must("queue", args{"action": "extend", "queue": "/queuefs/q", "leases": []string{m[1].Lease}}, nil)
	a.must("queue", args{"action": "nack", "queue": "/queuefs/q", "leases": []string{m[1].Lease, m[2].Lease}, "reason": "busy"}, nil)
	a.refused("queue", args{"action": "ack", "queue": "/queuefs/q", "leases": []string{m[1].Lease}}, "(lease_lost)", "take again")
	a.refused("queue", args{"action": "ack", "queue": "/queuefs/q"}, "needs leases")
	a.must("queue", args{"action": "stats", "queue": "/queuefs/q"}, &out)
	if out.Count != 2 || out.Stats.Acked != 1 {
		t.Errorf("stats: %+v", out)
	}
	a.must("queue", args{"action": "redrive", "queue": "/queuefs/q"}, &out)
	start := time.Now()
	go func() { // while the agent waits for it
		_, _ = a.tree.Enqueue(t.Context(), "/queuefs/late", []byte("late"))
	}()
	a.must("queue", args{"action": "put", "queue": "/queuefs/late", "data": "first"}, nil)
	for range 2 {
		a.must("queue", args{"action": "take", "queue": "/queuefs/late", "wait": 30}, &out)
		if len(out.Messages) != 1 {
			t.Fatalf("after %v: %+v", time.Since(start), out)
		}
	}
}

func TestMounts(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	var out struct {
		Mounts  []struct{ Path, Type string }
		Plugins []struct {
			Type     string
			Settings []client.PluginParam
		}
	}
	a.must("mounts", args{"action": "list"}, &out)
	if len(out.Mounts) != 5 {
		t.Errorf("mounts: %+v", out.Mounts)
	}
	a.must("mounts", args{"action": "plugins", "type": "queuefs"}, &out)
	if len(out.Plugins) != 1 || len(out.Plugins[0].Settings) == 0 {
		t.Errorf("plugins: %+v", out.Plugins)
	}
	a.must("mounts", args{"action": "mount", "path": "/more", "type": "memfs"}, &out)
	a.must("write", args{"path": "/more/f", "content": "x"}, nil)
	a.must("mounts", args{"action": "unmount", "path": "/more"}, &out)
	a.refused("mounts", args{"action": "mount", "path": "/more", "type": "nonefs"}, "nonefs")
	a.refused("mounts", args{"action": "mount", "path": "/more"}, "needs path")
	a.refused("mounts", args{"action": "burn"}, "(invalid)")
	held := newAgent(t, mcp.Config{Root: "/memfs"})
	held.refused("mounts", args{"action": "mount", "path": "/memfs/x", "type": "memfs"}, "(permission)", "Ask the operator")
	held.must("mounts", args{"action": "list"}, &out)
	if len(out.Mounts) != 1 || out.Mounts[0].Path != "/memfs" {
		t.Errorf("mounts below a root: %+v", out.Mounts)
	}
}
