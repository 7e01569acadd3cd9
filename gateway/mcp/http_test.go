package mcp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/gateway/mcp"
)

// TestHTTP has many clients use one handler at once, and leave while they wait.
func TestHTTP(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	a.file("/memfs/f", "x")
	s, err := mcp.New(mcp.Config{Client: a.tree})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	defer h.Close() // waits for what is under way: nothing may be left waiting
	for _, protocol := range []string{"", "2025-06-18"} {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				c, err := sdk.NewClient(&sdk.Implementation{Name: "test"}, nil).Connect(t.Context(),
					&sdk.StreamableClientTransport{Endpoint: h.URL}, &sdk.ClientSessionOptions{ProtocolVersion: protocol})
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				for n := range 10 {
					in := args{"path": fmt.Sprintf("/memfs/d/%d-%d", i, n), "content": "x"}
					if r, err := c.CallTool(t.Context(), &sdk.CallToolParams{Name: "write", Arguments: in}); err != nil || r.IsError {
						t.Errorf("write: %v %s", err, text(r))
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				_, err = c.CallTool(ctx, &sdk.CallToolParams{Name: "wait", Arguments: args{"path": "/memfs/f", "seconds": 55}})
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a wait that was left: %v", err)
				}
			})
		}
		wg.Wait()
	}
	var out listed
	a.must("list", args{"path": "/memfs/d"}, &out)
	if len(out.Entries) != 80 {
		t.Errorf("%d files", len(out.Entries))
	}
}

// placed is a server's ResponseWriter, which counts what waits without a place.
type placed struct {
	*httptest.ResponseRecorder
	idle, resumed atomic.Int64
}

// Idle notes that the call waits.
func (p *placed) Idle() (resume func(context.Context) error) {
	p.idle.Add(1)
	return func(context.Context) error { p.resumed.Add(1); return nil }
}

// TestWaitingHoldsNoPlace has the tools that wait give their place back meanwhile.
func TestWaitingHoldsNoPlace(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	if _, err := a.tree.Enqueue(t.Context(), "/queuefs/q", []byte("m")); err != nil {
		t.Fatal(err)
	}
	s, err := mcp.New(mcp.Config{Client: a.tree})
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]int64{
		`"wait","arguments":{"path":"/memfs/no","seconds":1}`:                         1,
		`"queue","arguments":{"action":"take","queue":"/queuefs/q","max":2,"wait":5}`: 1,
		`"queue","arguments":{"action":"stats","queue":"/queuefs/q"}`:                 0,
	} {
		w := &placed{ResponseRecorder: httptest.NewRecorder()}
		r := httptest.NewRequest("POST", "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":`+in+`}}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		s.ServeHTTP(w, r)
		if w.Code != 200 || strings.Contains(w.Body.String(), "isError") || w.idle.Load() != want || w.resumed.Load() != want {
			t.Errorf("%s: %d %s, %d times without a place, %d times with one again", in, w.Code, w.Body, w.idle.Load(), w.resumed.Load())
		}
	}
}
