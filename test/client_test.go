package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
)

// life is what a client does while its nodes are killed.
type life struct {
	t    *testing.T
	over atomic.Bool // no more is begun
	jobs atomic.Int64
	long [2]atomic.Int64 // long writes that were done, and that failed
}

// TestClientFailover kills the leader of three nodes, again and again, under one
// of everything that the Go client has: no line is lost, doubled or out of its
// place, no job is left, no half of a file is seen.
func TestClientFailover(t *testing.T) {
	rounds := 2
	if os.Getenv("PFS_SOAK") != "" {
		rounds = 20
	} else {
		t.Parallel()
	}
	c := harness.Start(t, harness.Options{Nodes: 3})
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Minute)
	if rounds > 2 {
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Minute)
	}
	defer cancel()
	l := &life{t: t}
	if _, err := c.Client(0).WriteFile(ctx, "/memfs/long", bytes.Repeat([]byte("0"), 1<<20)); err != nil {
		t.Fatal(err)
	}
	var h *client.Handle
	here := func() bool { // on the first node: a brief client turns to another where that is too busy
		var err error
		if h, err = brief(t, c.Nodes).OpenHandle(ctx, "/memfs/long", os.O_RDWR, 0); err != nil {
			return false
		}
		if all, err := brief(t, c.Nodes[:1]).Handles(ctx); err == nil && len(all) == 1 {
			return true
		}
		_ = h.Close() // it ends with its lease
		return false
	}
	if !harness.Poll(time.Minute, here) {
		t.Fatal("the first node opens no handle")
	}
	var wg sync.WaitGroup
	var said, logged, heard int
	wg.Go(func() { said = l.say(ctx, c.Client(0), "/streamfs/tv") })
	wg.Go(func() { heard = l.hear(ctx, given(t, c.Nodes[1]), "/streamfs/tv") })
	wg.Go(func() { logged = l.say(ctx, c.Client(2), "/memfs/log") })
	wg.Go(func() { l.enqueue(ctx, c.Client(1)) })
	wg.Go(func() { l.rewrite(ctx, c.Client(2)) })
	work, stop := context.WithCancel(ctx)
	var workers sync.WaitGroup
	for i := range 2 {
		workers.Go(func() { l.work(work, c.Client(i)) })
	}
	l.handle(h, c.Client(1), c.Nodes[0])
	for range rounds {
		n := c.Leader()
		if n == nil {
			t.Fatal("no leader")
		}
		n.Kill()
		l.progress(50) // with the two that are left
		n.Start()
		n.Ready()
		l.progress(50)
	}
	l.over.Store(true)
	wg.Wait()
	l.drained(ctx, c.Client(0))
	stop()
	workers.Wait()
	l.lines(ctx, c.Client(0), logged)
	if heard != said {
		t.Errorf("heard %d lines of %d", heard, said)
	}
	t.Logf("%d leaders killed: %d lines heard, %d logged, %d jobs done, %d long writes done, %d failed",
		rounds, heard, logged, l.jobs.Load(), l.long[0].Load(), l.long[1].Load())
}

// given is a client that is told one node, and finds the others.
func given(t *testing.T, n *harness.Node) *client.Client {
	t.Helper()
	c := dialNodes(t, client.Config{URLs: []string{n.URL}, Discover: true, Retries: 20})
	if err := c.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// stubborn is a client of one node, which asks that again while it is too busy.
func stubborn(t *testing.T, n *harness.Node) *client.Client {
	t.Helper()
	return dialNodes(t, client.Config{URLs: []string{n.URL}, Retries: 20})
}

// brief is a client of some nodes that does not wait for one to come back.
func brief(t *testing.T, nodes []*harness.Node) *client.Client {
	t.Helper()
	var urls []string
	for _, n := range nodes {
		urls = append(urls, n.URL)
	}
	return dialNodes(t, client.Config{URLs: urls, Retries: 2})
}

func dialNodes(t *testing.T, config client.Config) *client.Client {
	t.Helper()
	c, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// progress waits until so many more jobs were enqueued.
func (l *life) progress(jobs int64) {
	l.t.Helper()
	want := l.jobs.Load() + jobs
	if !harness.Poll(3*time.Minute, func() bool { return l.jobs.Load() >= want }) {
		l.t.Errorf("%d jobs were enqueued in three minutes, not %d", jobs+l.jobs.Load()-want, jobs)
	}
}

// say appends lines with their numbers, and "end", and returns how many.
func (l *life) say(ctx context.Context, c *client.Client, path string) (n int) {
	a := c.NewAppender(ctx, path)
	for end := false; !end; n++ {
		line := fmt.Sprintf("line %d\n", n)
		if end = l.over.Load(); end {
			line = "end\n"
		}
		if _, err := io.WriteString(a, line); err != nil {
			l.t.Errorf("%s line %d: %v", path, n, err)
			return n
		}
		time.Sleep(5 * time.Millisecond) // a machine has other tests
	}
	return n
}

// hear follows what is said, and returns how many lines came in their order.
func (l *life) hear(ctx context.Context, c *client.Client, path string) (n int) {
	tail, err := c.Tail(ctx, path, client.Oldest)
	if err != nil {
		l.t.Error(err)
		return 0
	}
	defer tail.Close()
	for s := bufio.NewScanner(tail); ; n++ {
		if !s.Scan() {
			l.t.Errorf("heard %d lines, then: %v", n, s.Err())
			return n
		}
		if s.Text() == "end" {
			return n + 1
		}
		if want := fmt.Sprintf("line %d", n); s.Text() != want {
			l.t.Errorf("heard %q, want %q", s.Text(), want)
			return n
		}
	}
}

// enqueue adds jobs.
func (l *life) enqueue(ctx context.Context, c *client.Client) {
	for i := 0; !l.over.Load(); i++ {
		e, err := c.Enqueue(ctx, "/queuefs/jobs", fmt.Append(nil, i))
		if err != nil || e.Seq != uint64(i+1) {
			l.t.Errorf("job %d: %+v, %v", i, e, err)
			return
		}
		l.jobs.Add(1)
		time.Sleep(5 * time.Millisecond) // a machine has other tests
	}
}

// work does jobs; an outage does not end it.
func (l *life) work(ctx context.Context, c *client.Client) {
	if err := c.Mkdir(ctx, "/queuefs/jobs", 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		l.t.Error(err)
	}
	for job, err := range c.Work(ctx, "/queuefs/jobs", client.WorkOptions{Max: 5, Lease: 10 * time.Second}) {
		if errors.Is(err, client.ErrNoLeader) {
			continue
		} else if err != nil {
			l.t.Errorf("work: %v", err)
			return
		}
		if err := job.Ack(); err != nil && !errors.Is(err, client.ErrLeaseLost) && !errors.Is(err, client.ErrNoLeader) {
			l.t.Errorf("ack: %v", err)
		}
	}
}

// rewrite writes a long file and reads it: it is one that was written, whole.
func (l *life) rewrite(ctx context.Context, c *client.Client) {
	for i := 1; !l.over.Load(); i++ {
		data := bytes.Repeat([]byte{byte('0' + i%10)}, 1<<20)
		w := c.NewWriter(ctx, "/memfs/long")
		_, err := w.Write(data)
		if cerr := w.Close(); err == nil {
			err = cerr
		}
		if err == nil {
			l.long[0].Add(1)
		} else {
			l.long[1].Add(1) // it is streamed, and so not sent again
		}
		got, rerr := c.ReadFile(ctx, "/memfs/long")
		if rerr != nil || len(got) != 1<<20 || !bytes.Equal(got, bytes.Repeat(got[:1], 1<<20)) || err == nil && got[0] != data[0] {
			l.t.Errorf("long write %d (%v): %d bytes, %v", i, err, len(got), rerr)
		}
	}
}

// handle uses a handle of node through others, until that node is killed.
func (l *life) handle(h *client.Handle, others *client.Client, node *harness.Node) {
	b := make([]byte, 10)
	if n, err := h.ReadAt(b, 1<<20-5); n != 5 || err != io.EOF {
		l.t.Errorf("handle: %d, %v", n, err)
	}
	if all, err := others.Handles(l.t.Context()); err != nil || len(all) != 0 {
		l.t.Errorf("another node has handles %+v, %v", all, err)
	}
	node.Kill()
	if _, err := h.Info(); !errors.Is(err, client.ErrNoLeader) && !errors.Is(err, fs.ErrNotExist) {
		l.t.Errorf("a handle whose node is away: %v", err)
	}
	node.Start()
	node.Ready()
	var err error
	harness.Poll(30*time.Second, func() bool { // others find its node again
		_, err = h.ReadAt(b, 0)
		return !errors.Is(err, client.ErrNoLeader)
	})
	if !errors.Is(err, fs.ErrNotExist) {
		l.t.Errorf("a handle whose node was started again: %v", err)
	}
	if err := h.Close(); err != nil {
		l.t.Error(err)
	}
}

// drained waits until every job is done, and none twice as far as the queue knows.
func (l *life) drained(ctx context.Context, c *client.Client) {
	var s client.QueueStats
	var err error
	if !harness.Poll(time.Minute, func() bool {
		s, err = c.QueueStats(client.WithFresh(ctx), "/queuefs/jobs")
		return err == nil && s.Ready+s.Inflight+s.Delayed == 0
	}) {
		l.t.Errorf("jobs are left: %+v, %v", s, err)
	}
	if n := uint64(l.jobs.Load()); s.Enqueued != n || s.Acked != n || s.Dead != 0 || n == 0 {
		l.t.Errorf("%d jobs: %+v", n, s)
	}
}

// lines checks what was logged.
func (l *life) lines(ctx context.Context, c *client.Client, n int) {
	b, err := c.ReadFile(client.WithFresh(ctx), "/memfs/log")
	if err != nil {
		l.t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(got) != n {
		l.t.Errorf("%d lines are logged, want %d", len(got), n)
	}
	for i, line := range got[:len(got)-1] {
		if want := fmt.Sprintf("line %d", i); line != want {
			l.t.Errorf("logged %q, want %q", line, want)
			return
		}
	}
}
