package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
)

// load is clients that write what can be checked later: files of their own, a
// log that each appends to, and messages in one queue.
type load struct {
	t       *testing.T
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	total   atomic.Int64
	first   atomic.Int64 // nanoseconds: when the first write begun after mark was acknowledged
	mark    atomic.Int64 // nanoseconds; 0: nobody asks
	clients []*loadClient
}

// loadClient is one client and what it knows of its writes.
type loadClient struct {
	id     int
	c      *client.Client
	files  map[string]string // acknowledged, path to content
	lines  []string          // acknowledged appends, in order
	sent   map[string]bool   // messages tried
	queued map[string]bool   // messages acknowledged
	unsure map[string]bool   // lines whose outcome is not known
}

// startLoad starts n clients; client i begins at node i and goes to the others
// when one fails.
func startLoad(t *testing.T, c *harness.Cluster, n int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &load{t: t, cancel: cancel}
	if err := c.Client(0).Mkdir(ctx, "/queuefs/load", 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		var urls []string
		for j := range c.Nodes {
			urls = append(urls, c.Nodes[(i+j)%len(c.Nodes)].URL)
		}
		cl, err := client.New(client.Config{URLs: urls, Retries: 60, Backoff: 20 * time.Millisecond,
			HTTP: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2}}})
		if err != nil {
			t.Fatal(err)
		}
		lc := &loadClient{id: i, c: cl, files: map[string]string{}, sent: map[string]bool{}, queued: map[string]bool{}, unsure: map[string]bool{}}
		w.clients = append(w.clients, lc)
		w.wg.Go(func() { lc.run(ctx, w) })
	}
	t.Cleanup(func() { cancel(); w.wg.Wait() })
	return w
}

// run writes until ctx ends; a write under way is finished first, so that its
// outcome is known.
func (l *loadClient) run(ctx context.Context, w *load) {
	for i := 0; ctx.Err() == nil; i++ {
		begun := time.Now().UnixNano()
		if !l.write(i) {
			continue
		}
		w.total.Add(1)
		if m := w.mark.Load(); m != 0 && begun >= m {
			w.first.CompareAndSwap(0, time.Now().UnixNano())
		}
	}
}

// write does one write and reports whether it was acknowledged.
func (l *loadClient) write(i int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	name := fmt.Sprintf("c%d-%d", l.id, i)
	switch i % 3 {
	case 0:
		p := "/memfs/load-" + name
		_, err := l.c.WriteFile(ctx, p, []byte(name))
		if err == nil {
			l.files[p] = name
		}
		return err == nil
	case 1:
		l.sent[name] = true
		_, err := l.c.WriteFile(ctx, "/queuefs/load/enqueue", []byte(name))
		if err == nil {
			l.queued[name] = true
		}
		return err == nil
	}
	_, err := l.c.WriteFile(ctx, fmt.Sprintf("/memfs/log-%d", l.id), []byte(name+"\n"), client.Append())
	if err == nil {
		l.lines = append(l.lines, name)
	} else {
		l.unsure[name] = true
	}
	return err == nil
}

func (w *load) acked() int64 { return w.total.Load() }

// firstAckAfter returns how long after t a write that began after t was
// acknowledged.
func (w *load) firstAckAfter(t time.Time, within time.Duration) time.Duration {
	w.first.Store(0)
	w.mark.Store(t.UnixNano())
	defer w.mark.Store(0)
	if !harness.Poll(within, func() bool { return w.first.Load() != 0 }) {
		w.t.Fatalf("no write was acknowledged within %v", within)
	}
	return time.Duration(w.first.Load() - t.UnixNano())
}

func (w *load) stop() {
	w.cancel()
	w.wg.Wait()
}

// verify reads everything back: acknowledged writes are there once, others at
// most once.
func (w *load) verify(c *harness.Cluster) {
	w.t.Helper()
	cl := c.Client(0)
	ctx := context.Background()
	drained := w.drain(cl)
	var files, lines, messages, lost, doubled int
	for _, l := range w.clients {
		for p, want := range l.files {
			files++
			if b, err := cl.ReadFile(ctx, p); err != nil || string(b) != want {
				lost++
				w.t.Errorf("lost: %s holds %q (%v)", p, b, err)
			}
		}
		lines += len(l.lines)
		lo, do := l.checkLog(ctx, w.t, cl)
		for m := range l.sent {
			switch n := drained[m]; {
			case n == 0 && l.queued[m]:
				lo++
				w.t.Errorf("lost: message %s", m)
			case n > 1:
				do++
				w.t.Errorf("doubled: message %s came %d times", m, n)
			}
		}
		messages += len(l.queued)
		lost, doubled = lost+lo, doubled+do
	}
	w.t.Logf("acknowledged %d files, %d appended lines, %d messages: lost %d, doubled %d", files, lines, messages, lost, doubled)
}

// drain takes every message and counts each.
func (w *load) drain(cl *client.Client) map[string]int {
	got := map[string]int{}
	for {
		b, err := cl.ReadFile(context.Background(), "/queuefs/load/dequeue")
		if err != nil {
			w.t.Fatalf("dequeue: %v", err)
		}
		var m struct{ Data string }
		if err := json.Unmarshal(b, &m); err != nil {
			w.t.Fatalf("dequeue gave %q: %v", b, err)
		}
		if m.Data == "" {
			return got
		}
		got[m.Data]++
	}
}

// checkLog compares the client's log file with the lines it appended: all
// acknowledged ones, once, in order; those it does not know of at most once.
func (l *loadClient) checkLog(ctx context.Context, t *testing.T, cl *client.Client) (lost, doubled int) {
	if len(l.lines) == 0 {
		return 0, 0
	}
	b, err := cl.ReadFile(ctx, fmt.Sprintf("/memfs/log-%d", l.id))
	if err != nil {
		t.Errorf("log of client %d: %v", l.id, err)
		return len(l.lines), 0
	}
	next, seen := 0, map[string]bool{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case seen[line]:
			doubled++
			t.Errorf("doubled: line %s", line)
		case next < len(l.lines) && line == l.lines[next]:
			next++
		case !l.unsure[line]:
			t.Errorf("client %d: line %q where %q belongs", l.id, line, l.lines[min(next, len(l.lines)-1)])
		}
		seen[line] = true
	}
	return len(l.lines) - next, doubled
}
