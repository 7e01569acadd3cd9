package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api"
	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/vfs"
)

const queue = v1 + "/files?path=/q/jobs/"

// takes counts the proposals that would take something.
func takes(s *apitest.Server) *atomic.Int64 {
	var n atomic.Int64
	s.Node.Refuse(func(r vfs.Request) error {
		if r.Ops[0].Verb == vfs.Consume {
			n.Add(1)
		}
		return nil
	})
	return &n
}

// waiting waits until so many reads wait.
func waiting(t *testing.T, s *apitest.Server, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d reads wait", n), func() bool {
		return strings.Contains(s.Do(t, "GET", "/metrics", "").Body, fmt.Sprintf("pfs_http_waiting_requests %d\n", n))
	})
}

func message(t *testing.T, body string) (m struct {
	ID, Data, Lease     string
	Seq, Attempt, Fence uint64
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%v in %.200q", err, body)
	}
	return m
}

// Those who wait get what comes in the order in which they came, and while
// nothing comes nothing is proposed for them.
func TestWaitersAreServedInOrder(t *testing.T) {
	s := start(t)
	s.Do(t, "POST", v1+"/mkdir?path=/q/jobs", "")
	tried := takes(s)
	const n = 6
	got := make([]chan string, n)
	for i := range n {
		got[i] = make(chan string, 1)
		file := []string{"take&lease=10s", "dequeue", "take&max=1"}[i%3]
		go func() { got[i] <- s.Do(t, "GET", queue+file+"&wait=30s", "").Body }()
		waiting(t, s, i+1)
	}
	if tried.Load() != 0 {
		t.Errorf("%d proposals for those who wait", tried.Load())
	}
	for i := range n {
		s.Do(t, "PUT", queue+"enqueue", fmt.Sprint("m", i))
		if body := <-got[i]; !strings.Contains(body, fmt.Sprintf(`"data":"m%d"`, i)) {
			t.Errorf("reader %d got %s", i, body)
		}
	}
	if tried.Load() != n {
		t.Errorf("%d proposals for %d messages", tried.Load(), n)
	}
	waiting(t, s, 0)
}

func TestWaitInVain(t *testing.T) {
	s := start(t)
	s.Do(t, "POST", v1+"/mkdir?path=/q/jobs", "")
	tried := takes(s)
	for file, want := range map[string]string{"take": "{}", "take&max=5": "[]", "dequeue": "{}"} {
		a := s.Do(t, "GET", queue+file+"&wait=50ms", "")
		if a.Status != 200 || a.Body != want || a.Header.Get("X-Pfs-Seq") != "" || a.Header.Get("ETag") != "" || a.Header.Get("X-Pfs-Index") == "" {
			t.Errorf("%s: %d %q %v", file, a.Status, a.Body, a.Header)
		}
	}
	if tried.Load() != 0 {
		t.Errorf("%d proposals", tried.Load())
	}
	steps(t, s, "", "GET /files?path=/q/jobs/take&wait=soon -> 400 wait must be a duration",
		"GET /files?path=/q/jobs/take&wait=-1s -> 400 must not be negative",
		"GET /files?path=/q/jobs/take&wait=10s&max=0 -> 400 max must be 1 to 100",
		"GET /files?path=/q/jobs/take&wait=10s&lease=10y -> 400 lease must be",
		"GET /files?path=/q/no/take&wait=10s -> 404",
		"GET /files?path=/memfs/README&wait=10s -> 200",
		"GET /files?path=/q/jobs/take -> 200 {}")
	// The time spent in line is no slowness of the server.
	if m := s.Do(t, "GET", "/metrics", "").Body; !strings.Contains(m, `pfs_http_request_seconds_bucket{route="/api/v1/files",le="0.05"}`) {
		t.Error("no histogram")
	}
}

// A reader that has left takes nothing, and its place is free at once.
func TestWaiterLeaves(t *testing.T) {
	s := start(t)
	s.Do(t, "POST", v1+"/mkdir?path=/q/jobs", "")
	var conns []net.Conn
	for range 3 {
		c := dial(t, s)
		if _, err := io.WriteString(c, "GET "+queue+"take&wait=30s HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		waiting(t, s, len(conns))
	}
	for i, c := range conns {
		_ = c.Close()
		waiting(t, s, len(conns)-1-i)
	}
	s.Do(t, "PUT", queue+"enqueue", "job")
	if a := s.Do(t, "GET", queue+"size", ""); a.Body != "1" {
		t.Errorf("%s messages are left", a.Body)
	}
	// One leaves while its turn comes: the message is for the next.
	s.Do(t, "GET", queue+"dequeue", "")
	first := dial(t, s)
	if _, err := io.WriteString(first, "GET "+queue+"take&wait=30s HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	waiting(t, s, 1)
	got := make(chan string, 1)
	go func() { got <- s.Do(t, "GET", queue+"take&wait=30s", "").Body }()
	waiting(t, s, 2)
	_ = first.Close()
	s.Do(t, "PUT", queue+"enqueue", "second")
	if m := message(t, <-got); m.Data != "second" || m.Attempt != 1 {
		t.Errorf("the next got %+v", m)
	}
}

func TestWaitersAreBounded(t *testing.T) {
	s := startWith(t, api.Config{Limits: api.Limits{Waits: 2}})
	s.Do(t, "POST", v1+"/mkdir?path=/q/jobs", "")
	done := make(chan apitest.Answer, 2)
	for i := range 2 {
		go func() { done <- s.Do(t, "GET", queue+"take&wait=30s", "") }()
		waiting(t, s, i+1)
	}
	if a := s.Do(t, "GET", queue+"take&wait=30s", ""); a.Status != 429 || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Body, "2 reads are waiting") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	s.Do(t, "PUT", queue+"enqueue", "a")
	s.Do(t, "PUT", queue+"enqueue", "b")
	for range 2 {
		if a := <-done; a.Status != 200 || a.Body == "{}" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
}

// A repeat of a read that waited gets what the first try got, though there is
// nothing more.
func TestKeyedWait(t *testing.T) {
	s := start(t)
	s.Do(t, "POST", v1+"/mkdir?path=/q/jobs", "")
	got := make(chan apitest.Answer, 1)
	read := func() { got <- s.Do(t, "GET", queue+"take&wait=30s", "", "Idempotency-Key", "k") }
	go read()
	waiting(t, s, 1)
	var lost atomic.Bool
	s.Node.After(func(r vfs.Request) error { // the answer to the take is lost
		if r.Ops[0].Verb == vfs.Consume && !lost.Swap(true) {
			return &vfs.Unknown{Cause: errors.New("lost")}
		}
		return nil
	})
	after := make(chan bool)
	go func() { defer close(after); s.Do(t, "PUT", queue+"enqueue", "job") }()
	if a := <-got; a.Status != 503 || !strings.Contains(a.Body, `"outcome":"unknown"`) {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	<-after
	go read()
	a := <-got
	if m := message(t, a.Body); m.Data != "job" || m.Attempt != 1 || a.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s %v", a.Body, a.Header)
	}
	again := s.Do(t, "GET", queue+"take&wait=30s", "", "Idempotency-Key", "k")
	if again.Body != a.Body {
		t.Errorf("%s, and again %s", a.Body, again.Body)
	}
	// What has waited in vain has decided nothing.
	if a := s.Do(t, "GET", queue+"take&wait=50ms", "", "Idempotency-Key", "k2"); a.Body != "{}" {
		t.Errorf("%s", a.Body)
	}
	s.Do(t, "PUT", queue+"enqueue", "late")
	if a := s.Do(t, "GET", queue+"take&wait=50ms", "", "Idempotency-Key", "k2"); !strings.Contains(a.Body, "late") {
		t.Errorf("%s", a.Body)
	}
}

func TestWaitOnAQueueThatGoes(t *testing.T) {
	for _, how := range []string{"DELETE /files?path=/q/jobs&recursive=true -> 200", `POST /unmount {"path":"/q"} -> 200`} {
		s := start(t)
		s.Do(t, "POST", v1+"/mkdir?path=/q/jobs", "")
		got := make(chan apitest.Answer, 1)
		go func() { got <- s.Do(t, "GET", queue+"take&wait=30s", "") }()
		waiting(t, s, 1)
		steps(t, s, "", how)
		if a := <-got; a.Status != 404 {
			t.Errorf("%s: %d %s", how, a.Status, a.Body)
		}
	}
}

// A server that stops does not wait for those who wait.
func TestWaitEndsAtShutdown(t *testing.T) {
	s := start(t)
	s.Do(t, "POST", v1+"/mkdir?path=/q/jobs", "")
	got := make(chan apitest.Answer, 1)
	go func() { got <- s.Do(t, "GET", queue+"take&wait=60s", "") }()
	waiting(t, s, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.API.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if a := <-got; a.Status != 200 || a.Body != "{}" {
		t.Errorf("%d %s %v", a.Status, a.Body, a.Header)
	}
}

// Many readers and many writers: each message goes to one reader, and nobody
// is left waiting while there is one.
func TestWaitersHammer(t *testing.T) {
	s := start(t)
	const readers, each = 40, 15
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for i := range readers {
		path := fmt.Sprintf("/q/h%d/", i%3)
		wg.Go(func() {
			for n := range each {
				s.Do(t, "PUT", v1+"/files?path="+path+"enqueue", fmt.Sprintf("%d-%d", i, n))
			}
		})
		wg.Go(func() {
			for n := 0; n < each; n++ {
				a := s.Do(t, "GET", v1+"/files?path="+path+"take&wait=60s", "")
				if a.Status == 404 { // the queue is not there yet
					n--
					continue
				}
				if a.Status != 200 || a.Body == "{}" {
					t.Errorf("%d %s", a.Status, a.Body)
					return
				}
				m := message(t, a.Body)
				mu.Lock()
				seen[m.Data]++
				mu.Unlock()
				if a := s.Do(t, "PUT", v1+"/files?path="+path+"ack", m.Lease); a.Status != 200 {
					t.Errorf("ack: %d %s", a.Status, a.Body)
				}
			}
		})
	}
	wg.Wait()
	for m, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", m, n)
		}
	}
	if len(seen) != readers*each {
		t.Errorf("%d messages came, of %d", len(seen), readers*each)
	}
	for i := range 3 {
		st := s.Do(t, "GET", v1+fmt.Sprintf("/files?path=/q/h%d/stats.json", i), "").Body
		if !strings.HasPrefix(st, `{"ready":0,"delayed":0,"inflight":0,"dead":0,"bytes":0,`) {
			t.Error(st)
		}
	}
	waiting(t, s, 0)
}

// What time brings wakes those who wait: a delay that is over, a lease that ran
// out.
func TestWaitForTime(t *testing.T) {
	s := start(t)
	s.Do(t, "PUT", queue+"enqueue", "later", "X-Pfs-Delay", "300ms")
	if a := s.Do(t, "GET", queue+"take", ""); a.Body != "{}" {
		t.Errorf("too early: %s", a.Body)
	}
	tick := func() chan apitest.Answer {
		got := make(chan apitest.Answer, 1)
		go func() { got <- s.Do(t, "GET", queue+"take&wait=30s&lease=300ms", "") }()
		waiting(t, s, 1)
		return got
	}
	var attempts []uint64
	for range 3 {
		got := tick()
		eventually(t, "the message comes", func() bool {
			if err := s.Node.Tick(t.Context()); err != nil {
				t.Fatal(err)
			}
			return len(got) > 0
		})
		attempts = append(attempts, message(t, (<-got).Body).Attempt)
	}
	if !slices.Equal(attempts, []uint64{1, 2, 3}) {
		t.Errorf("attempts %v", attempts)
	}
}
