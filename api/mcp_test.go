package api_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api"
	"github.com/pfs-project/pfs/api/apitest"
)

// One request is one message: a batch would be any number of calls at once.
func TestBatchesAreRefused(t *testing.T) {
	s := startWith(t, api.Config{MCP: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("{}")) // into memory
	})})
	for _, batch := range []string{`[{"jsonrpc":"2.0"}]`, "[]", " \t\r\n[{}]", "["} {
		if a := s.Do(t, "POST", "/mcp", batch); a.Status != 400 || !strings.Contains(a.Body, "one message a request") {
			t.Errorf("%q: %d %s", batch, a.Status, a.Body)
		}
	}
	for _, one := range []string{"{}", ` {"a":[1]}`, ""} {
		if a := s.Do(t, "POST", "/mcp", one); a.Status != 200 || a.Body != "{}" {
			t.Errorf("%q: %d %s", one, a.Status, a.Body)
		}
	}
}

// Calls of agents are bounded by themselves: what waits for files takes none of
// their places, nor they of its.
func TestToolsAreBounded(t *testing.T) {
	came, end := make(chan bool), make(chan bool)
	var here atomic.Int64
	s := startWith(t, api.Config{Limits: api.Limits{Tools: 2, Waits: 1}, MCP: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer here.Add(-1)
		if here.Add(1) <= 2 {
			came <- true
			<-end
		}
		_, _ = w.Write([]byte("{}")) // into memory
	})})
	done := make(chan apitest.Answer, 3)
	for range 2 {
		go func() { done <- s.Do(t, "POST", "/mcp", "{}") }()
		<-came
	}
	if a := s.Do(t, "POST", "/mcp", "{}"); a.Status != 429 || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Body, "2 calls of tools") {
		t.Errorf("%d %s %v", a.Status, a.Body, a.Header)
	}
	tag := s.Do(t, "PUT", v1+"/files?path=/memfs/f", "text").Header.Get("ETag")
	if a := s.Do(t, "GET", v1+"/stat?path=/memfs/f&wait=50ms", "", "If-None-Match", tag); a.Status != 304 {
		t.Errorf("a read that waits: %d %s", a.Status, a.Body)
	}
	end <- true
	if a := <-done; a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	go func() { done <- s.Do(t, "POST", "/mcp", "{}") }() // the place is free again
	<-came
	close(end)
	for range 2 {
		if a := <-done; a.Status != 200 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
}

// A call that only waits leaves its place to others, and goes on once there is one.
func TestToolsThatWaitHoldNoPlace(t *testing.T) {
	waits, end, busy := make(chan bool), make(chan bool), make(chan bool)
	s := startWith(t, api.Config{Limits: api.Limits{Tools: 1, Waits: 20}, MCP: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("X-Does") {
		case "wait":
			resume := w.(api.Idler).Idle()
			waits <- true
			<-end
			if err := resume(r.Context()); err != nil {
				t.Error(err)
			}
		case "work":
			waits <- true
			<-busy
		}
		_, _ = w.Write([]byte("{}")) // into memory
	})})
	const many = 20
	done := make(chan apitest.Answer, many+1)
	for range many {
		go func() { done <- s.Do(t, "POST", "/mcp", "{}", "X-Does", "wait") }()
		<-waits
	}
	if a := s.Do(t, "POST", "/mcp", "{}"); a.Status != 200 {
		t.Fatalf("while %d wait: %d %s", many, a.Status, a.Body)
	}
	go func() { done <- s.Do(t, "POST", "/mcp", "{}", "X-Does", "work") }()
	<-waits
	if a := s.Do(t, "POST", "/mcp", "{}"); a.Status != 429 {
		t.Errorf("beside one that works: %d %s", a.Status, a.Body)
	}
	close(end)
	select {
	case a := <-done:
		t.Errorf("one went on without a place: %d %s", a.Status, a.Body)
	case <-time.After(50 * time.Millisecond):
	}
	close(busy)
	for range many + 1 {
		if a := <-done; a.Status != 200 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if a := s.Do(t, "POST", "/mcp", "{}"); a.Status != 200 { // all places are free again
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
