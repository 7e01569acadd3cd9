package test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
)

// patientClients are clients as an application would have them: each operation
// has ten seconds and at most five retries. None may fail.
type patientClients struct {
	t       *testing.T
	stop    atomic.Bool
	wg      sync.WaitGroup
	done    atomic.Int64
	failed  atomic.Int64
	longest atomic.Int64 // nanoseconds
	lines   []int        // appended, by client
}

func startPatient(t *testing.T, c *harness.Cluster, n int) *patientClients {
	p := &patientClients{t: t, lines: make([]int, n)}
	for i := range n {
		var urls []string
		for j := range c.Nodes {
			urls = append(urls, c.Nodes[(i+j)%len(c.Nodes)].URL)
		}
		cl, err := client.New(client.Config{URLs: urls, Retries: 5})
		if err != nil {
			t.Fatal(err)
		}
		p.wg.Go(func() { p.run(i, cl) })
	}
	t.Cleanup(p.end)
	return p
}

func (p *patientClients) end() {
	p.stop.Store(true)
	p.wg.Wait()
}

func (p *patientClients) run(i int, cl *client.Client) {
	defer cl.Close()
	file, log := fmt.Sprintf("/memfs/file-%d", i), fmt.Sprintf("/memfs/log-%d", i)
	for k := 0; !p.stop.Load(); k++ {
		want := fmt.Sprint(k)
		p.op("write", func(ctx context.Context) error {
			_, err := cl.WriteFile(ctx, file, []byte(want))
			return err
		})
		p.op("read own write", func(ctx context.Context) error {
			b, err := cl.ReadFile(ctx, file)
			if err == nil && string(b) != want {
				err = fmt.Errorf("%s holds %q, not %q", file, b, want)
			}
			return err
		})
		p.op("append", func(ctx context.Context) error {
			_, err := cl.WriteFile(ctx, log, []byte("x"), client.Append())
			return err
		})
		p.lines[i]++
		p.op("enqueue", func(ctx context.Context) error {
			_, err := cl.WriteFile(ctx, "/queuefs/rolling/enqueue", []byte(want))
			return err
		})
		if k%8 == 0 {
			p.op("write of chunks", func(ctx context.Context) error {
				_, err := cl.WriteFile(ctx, file+".big", bytes.Repeat([]byte(want), 100<<10))
				return err
			})
		}
		p.op("list", func(ctx context.Context) error {
			_, err := cl.List(ctx, "/memfs")
			return err
		})
	}
}

// op does one operation and counts it.
func (p *patientClients) op(what string, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	start := time.Now()
	err := do(ctx)
	p.done.Add(1)
	took := int64(time.Since(start))
	for was := p.longest.Load(); took > was && !p.longest.CompareAndSwap(was, took); was = p.longest.Load() {
	}
	if err != nil {
		p.failed.Add(1)
		p.t.Errorf("%s failed after %v: %v", what, time.Since(start).Round(time.Millisecond), err)
	}
}

// TestRollingRestart stops every node with SIGTERM and starts it again, one
// after the other, under clients that retry as anybody would: the leader last,
// and then the leader first.
func TestRollingRestart(t *testing.T) {
	c := harness.Start(t, harness.Options{Nodes: 3})
	if err := c.Client(0).Mkdir(t.Context(), "/queuefs/rolling", 0o755); err != nil {
		t.Fatal(err)
	}
	p := startPatient(t, c, 12)
	for round := range rounds(1, 5) {
		for _, leaderFirst := range []bool{false, true} {
			rollOver(t, c, p, leaderFirst)
			t.Logf("round %d, leader first %v: %d operations, %d failed, the longest took %v", round+1, leaderFirst,
				p.done.Load(), p.failed.Load(), time.Duration(p.longest.Load()).Round(time.Millisecond))
		}
	}
	p.end()
	if n := p.done.Load(); n < 4000 {
		t.Errorf("only %d operations", n)
	}
	c.SameDigest() // a node that was not asked may be behind for a moment
	for i, n := range p.lines {
		b, err := c.Client(0).ReadFile(t.Context(), fmt.Sprintf("/memfs/log-%d", i))
		if err != nil || len(b) != n {
			t.Errorf("client %d appended %d times; its log has %d (%v)", i, n, len(b), err)
		}
	}
}

// rollOver restarts every node once, each while clients go on.
func rollOver(t *testing.T, c *harness.Cluster, p *patientClients, leaderFirst bool) {
	t.Helper()
	leader := c.Leader()
	if leader == nil {
		t.Fatal("no leader")
	}
	var order []*harness.Node
	for _, n := range c.Nodes {
		if n != leader {
			order = append(order, n)
		}
	}
	if leaderFirst {
		order = append([]*harness.Node{leader}, order...)
	} else {
		order = append(order, leader)
	}
	for _, n := range order {
		before := p.done.Load()
		if code := n.Stop(); code != 0 {
			t.Errorf("%s ended with code %d\n%s", n.ID, code, n.Tail())
		}
		n.Start()
		n.Ready()
		if !harness.Poll(3*time.Minute, func() bool { return p.done.Load() > before+800 }) {
			t.Fatalf("clients stand still after the restart of %s", n.ID)
		}
	}
}
