package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/vfs"
)

// plant is work for queues and a book of all that happens to each message.
type plant struct {
	t      *testing.T
	cs     []*harness.Cluster // that share the queues
	queues []string
	victim *harness.Node // is killed; nil: a leader
	loose  bool          // fences of takes that are under way at once may be in any order
	made   uint64        // index at which the queues are there; 0 if it is not one cluster

	done atomic.Bool // all is sent
	mu   sync.Mutex
	sent map[string]string // id → content, of those acknowledged
	seen map[string][]delivery
	ends map[string]uint64 // id → the fence under which it was acked
	lost atomic.Int64      // leases that ran out under a worker
}

// delivery is one message given to one worker.
type delivery struct {
	queue               string
	seq, attempt, fence uint64
	data                string
}

const poison = "poison"

// client returns a client for a worker, who waits as long as a node may take to
// start again.
func (p *plant) client(worker int) *client.Client {
	c := p.cs[worker%len(p.cs)]
	var urls []string
	for i := range c.Nodes {
		urls = append(urls, c.Nodes[(worker/len(p.cs)+i)%len(c.Nodes)].URL)
	}
	cl, err := client.New(client.Config{URLs: urls, Retries: 60})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(cl.Close)
	return cl
}

// produce sends n messages and notes what was acknowledged.
func (p *plant) produce(worker, n int) {
	cl := p.client(worker)
	queue := p.queues[worker%len(p.queues)]
	var last uint64
	for i := range n {
		data := fmt.Sprintf("p%d-%d", worker, i)
		if i%250 == 100 {
			data = poison + data
		}
		e, err := cl.Enqueue(p.t.Context(), queue, []byte(data))
		if err != nil {
			p.t.Errorf("producer %d: %v", worker, err)
			continue
		}
		if e.Seq <= last {
			p.t.Errorf("producer %d: message %d has seq %d after %d", worker, i, e.Seq, last)
		}
		last = e.Seq
		p.mu.Lock()
		p.sent[e.ID] = data
		p.mu.Unlock()
	}
}

// consume works until all is sent and nothing is left. Of a hundred messages it
// dies on five without an ack.
func (p *plant) consume(worker int) {
	cl, queue := p.client(worker), p.queues[worker%len(p.queues)]
	r := rand.New(rand.NewPCG(uint64(worker), 1))
	for p.t.Context().Err() == nil {
		last := p.done.Load()
		// Whether there is such a queue, a node looks up in what it has applied. The
		// lease is long enough for five acks beside other work of the machine.
		got, err := cl.Take(client.WithMinIndex(p.t.Context(), p.made), queue, client.TakeOptions{Max: 1 + r.IntN(5), Lease: 5 * time.Second, Wait: 2 * time.Second})
		if p.loose && errors.Is(err, vfs.NotFound) { // a server alone that starts reads what it had on its disk
			pauseFor(p.t.Context(), 100*time.Millisecond)
			continue
		}
		if err != nil {
			p.t.Errorf("worker %d: take: %v", worker, err)
			return
		}
		if last && len(got) == 0 {
			s, err := cl.QueueStats(client.WithFresh(p.t.Context()), queue) // another node may be behind
			if err != nil && !p.loose || err == nil && s.Ready+s.Delayed+s.Inflight == 0 {
				return
			}
		}
		for _, m := range got {
			p.note(queue, m)
			switch {
			case r.IntN(100) < 5: // dies
			case strings.HasPrefix(string(m.Data), poison):
				p.fail(cl, queue, m)
			default:
				p.settle(cl, queue, m)
			}
		}
	}
}

func (p *plant) note(queue string, m client.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[m.ID] = append(p.seen[m.ID], delivery{queue, m.Seq, m.Attempt, m.Fence, string(m.Data)})
}

func (p *plant) settle(cl *client.Client, queue string, m client.Message) {
	err := cl.Ack(p.t.Context(), queue, m.Lease)
	switch {
	case errors.Is(err, vfs.LeaseLost):
		p.lost.Add(1)
	case err != nil:
		p.t.Errorf("ack: %v", err)
	default:
		p.mu.Lock()
		defer p.mu.Unlock()
		if was, ok := p.ends[m.ID]; ok {
			p.t.Errorf("%s was acked under fence %d, and again under %d", m.ID, was, m.Fence)
		}
		p.ends[m.ID] = m.Fence
	}
}

func (p *plant) fail(cl *client.Client, queue string, m client.Message) {
	_, err := cl.Nack(p.t.Context(), queue, m.Lease, "cannot "+string(m.Data), 0)
	switch {
	case errors.Is(err, vfs.LeaseLost):
		p.lost.Add(1)
	case err != nil:
		p.t.Errorf("nack: %v", err)
	}
}

// nemesis kills the leader and starts it again, at most so many times, until ctx
// ends.
func (p *plant) nemesis(ctx context.Context, most int) (kills int) {
	for ctx.Err() == nil && kills < most {
		l := p.victim
		if l == nil {
			l = p.cs[kills%len(p.cs)].Leader()
		}
		if l == nil {
			p.t.Error("no leader")
			return kills
		}
		l.Kill()
		kills++
		pauseFor(ctx, time.Second)
		l.Start()
		l.Ready()
		pauseFor(ctx, 3*time.Second)
	}
	return kills
}

func pauseFor(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// check reads the book: nothing acknowledged was lost, nothing came after its
// ack, and first deliveries are in order.
func (p *plant) check() (lost, again, disorder, redelivered int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := map[string][]delivery{}
	for id, all := range p.seen {
		for _, d := range all {
			if d.attempt == 1 {
				first[d.queue] = append(first[d.queue], d)
			} else {
				redelivered++
			}
			if end, ok := p.ends[id]; ok && d.fence > end {
				again++
				p.t.Errorf("%s was acked under fence %d and came again under %d", id, end, d.fence)
			}
			if want, ok := p.sent[id]; ok && want != d.data {
				p.t.Errorf("%s was %q and came as %q", id, want, d.data)
			}
		}
	}
	for id, data := range p.sent {
		if _, ok := p.ends[id]; !ok && !strings.HasPrefix(data, poison) {
			lost++
			p.t.Errorf("lost: %s %q, given %v", id, data, p.seen[id])
		}
	}
	for q, all := range first {
		slices.SortFunc(all, func(a, b delivery) int { return int(a.fence) - int(b.fence) })
		for i := 1; i < len(all); i++ {
			if all[i].seq <= all[i-1].seq && !p.loose {
				disorder++
				p.t.Errorf("%s: seq %d was first given after %d", q, all[i].seq, all[i-1].seq)
			}
		}
	}
	return lost, again, disorder, redelivered
}

// TestQueueWorkers has ten producers and ten consumers, some of which die, on
// three nodes whose leader is killed again and again. With PFS_SOAK it is
// 100,000 messages.
func TestQueueWorkers(t *testing.T) {
	const workers = 10
	total, most := 5_000, 3
	if os.Getenv("PFS_SOAK") != "" {
		total, most = 100_000, math.MaxInt
	}
	c := harness.Start(t, harness.Options{Nodes: 3})
	p := &plant{t: t, cs: []*harness.Cluster{c}, queues: []string{"/queuefs/one", "/queuefs/two"},
		sent: map[string]string{}, seen: map[string][]delivery{}, ends: map[string]uint64{}}
	kills, took := p.run(total, workers, most)
	lost, again, disorder, redelivered := p.check()
	t.Logf("%d messages in %v (%.0f/s), %d kills of the leader: lost %d, delivered after ack %d, out of order %d; %d deliveries again, %d leases ran out under their workers",
		len(p.sent), took.Round(time.Millisecond), float64(total)/took.Seconds(), kills, lost, again, disorder, redelivered, p.lost.Load())
	p.poisoned()
	c.SameDigest()
}

// run has producers and consumers, some of which die, on the queues, while servers
// are killed.
func (p *plant) run(total, workers, most int) (kills int, took time.Duration) {
	t := p.t
	cl := p.client(0)
	for _, q := range p.queues {
		if err := cl.Mkdir(t.Context(), q, 0o755); err != nil {
			t.Fatal(err)
		}
		// Those who die take an attempt each: only poison is to use up all of them.
		if _, err := cl.WriteFile(t.Context(), q+"/ctl", []byte("max_attempts=10")); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.cs) == 1 {
		p.made = cl.LastIndex()
	}
	start := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	var sending, work, trouble sync.WaitGroup
	trouble.Go(func() { kills = p.nemesis(ctx, most) })
	for i := range workers {
		sending.Go(func() { p.produce(i, total/workers) })
		work.Go(func() { p.consume(i) })
	}
	sending.Wait()
	p.done.Store(true)
	work.Wait()
	took = time.Since(start)
	cancel()
	trouble.Wait()
	for _, c := range p.cs {
		c.StartAll()
		c.Ready()
	}
	return kills, took
}

// poisoned finds every poison among the dead, with its reason, brings it back
// and works it off.
func (p *plant) poisoned() {
	t, cl, found := p.t, p.client(0), 0
	for _, q := range p.queues {
		fresh := client.WithFresh(t.Context())
		infos, err := cl.List(fresh, q+"/dead")
		if err != nil {
			t.Fatal(err)
		}
		found += len(infos)
		for _, i := range infos {
			var d struct{ Data, Reason string }
			b, err := cl.ReadFile(fresh, q+"/dead/"+i.Name)
			if err = errors.Join(err, json.Unmarshal(b, &d)); err != nil || !strings.HasPrefix(d.Data, poison) || !strings.Contains(d.Reason, "attempt 10/10: ") {
				t.Errorf("%s is dead: %s, %v", i.Name, b, err)
			}
		}
		if n, err := cl.Redrive(t.Context(), q); err != nil || n != len(infos) {
			t.Errorf("redrive: %d of %d, %v", n, len(infos), err)
		}
		for n := 0; n < len(infos); {
			got, err := cl.Take(t.Context(), q, client.TakeOptions{Max: 100, Wait: 10 * time.Second})
			if err != nil || len(got) == 0 {
				t.Fatalf("after redrive: %d messages of %d, %v", n, len(infos), err)
			}
			for _, m := range got {
				if m.Attempt != 1 {
					t.Errorf("%s comes back with attempt %d", m.ID, m.Attempt)
				}
				if err := cl.Ack(t.Context(), q, m.Lease); err != nil {
					t.Error(err)
				}
				n++
			}
		}
		s, err := cl.QueueStats(fresh, q)
		if err != nil || s.Ready+s.Delayed+s.Inflight+s.Dead != 0 {
			t.Errorf("%s at the end: %+v, %v", q, s, err)
		}
	}
	want := 0
	for _, data := range p.sent {
		if strings.HasPrefix(data, poison) {
			want++
		}
	}
	if found != want || want == 0 {
		t.Errorf("%d are dead, and %d were poison", found, want)
	}
	t.Logf("%d poisoned messages were dead, with their reason, and came back", found)
}

// TestDeadWorker: what a worker has taken that died comes to another one soon
// after its lease has run out, on whichever node that one waits.
func TestDeadWorker(t *testing.T) {
	t.Parallel()
	const lease = time.Second
	rounds, bound := 6, time.Minute
	if os.Getenv("PFS_SOAK") != "" {
		rounds, bound = 60, lease+time.Second
	}
	c := harness.Start(t, harness.Options{Nodes: 3})
	var took []time.Duration
	for i := range rounds {
		q := fmt.Sprintf("/queuefs/dead%d", i)
		cl := c.Client(i)
		if _, err := cl.Enqueue(t.Context(), q, []byte("job")); err != nil {
			t.Fatal(err)
		}
		first, err := cl.Take(t.Context(), q, client.TakeOptions{Lease: lease, Wait: 10 * time.Second})
		if err != nil || len(first) != 1 {
			t.Fatalf("%v, %v", first, err)
		}
		at := time.Now()
		there := client.WithMinIndex(t.Context(), cl.LastIndex()) // the other node has the queue
		again, err := c.Client((i+1)%3).Take(there, q, client.TakeOptions{Wait: time.Minute})
		if err != nil || len(again) != 1 || again[0].ID != first[0].ID || again[0].Attempt != 2 || again[0].Fence <= first[0].Fence {
			t.Fatalf("%+v came as %+v, %v", first, again, err)
		}
		took = append(took, time.Since(at))
	}
	slices.Sort(took)
	t.Logf("a lease of %v was given again after %v (median), %v at most", lease, took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	if worst := took[len(took)-1]; worst > bound {
		t.Errorf("it took %v", worst)
	}
}

// TestIdleWorkers: those who wait cost no entry in the log and no request but
// the one that waits, and all are served when something comes.
func TestIdleWorkers(t *testing.T) {
	t.Parallel()
	const workers = 30
	c := harness.Start(t, harness.Options{Nodes: 3})
	if err := c.Client(0).Mkdir(t.Context(), "/queuefs/idle", 0o755); err != nil {
		t.Fatal(err)
	}
	wait := 3 * time.Second
	if os.Getenv("PFS_SOAK") != "" {
		wait = 30 * time.Second
	}
	c.SameDigest()
	before, elections := figures(t, c), 0
	for round := 0; round < 2; round++ {
		if round == 1 {
			wait = time.Minute // what comes finds all of them waiting
		}
		var wg sync.WaitGroup
		var right atomic.Int64
		for i := range workers {
			wg.Go(func() { // each request under a key of its own
				got, err := c.Client(i%3).Take(t.Context(), "/queuefs/idle", client.TakeOptions{Wait: wait})
				if err == nil && len(got) == round {
					right.Add(1)
				} else {
					t.Errorf("round %d: %+v, %v", round, got, err)
				}
			})
		}
		if round == 1 {
			if !harness.Poll(15*time.Second, func() bool { return figures(t, c)["pfs_http_waiting_requests"] == workers }) {
				t.Errorf("%v wait", figures(t, c)["pfs_http_waiting_requests"])
			}
			for i := range workers {
				if _, err := c.Client(i%3).Enqueue(t.Context(), "/queuefs/idle", fmt.Append(nil, "job", i)); err != nil {
					t.Error(err)
				}
			}
		}
		wg.Wait()
		if round == 0 {
			after := figures(t, c)
			if after["pfs_term"] != before["pfs_term"] && elections < 5 { // those who wait may have to ask another node: once more
				before, round, elections = after, -1, elections+1
				continue
			}
			proposed, asked := after["pfs_proposals_total"]-before["pfs_proposals_total"], after["pfs_http_requests_total"]-before["pfs_http_requests_total"]
			grown := after["pfs_commit_index"] - before["pfs_commit_index"] // on three nodes
			t.Logf("%d idle consumers for %v: %v requests, %v proposals, %v entries on three nodes", workers, wait, asked, proposed, grown)
			if proposed > 3 || grown > 9 || asked > workers+3 { // what nodes say of themselves, and the figures' own
				t.Errorf("%v requests, %v proposals, %v entries", asked, proposed, grown)
			}
		}
		if right.Load() != workers {
			t.Errorf("round %d: %d of %d got what they should", round, right.Load(), workers)
		}
	}
}

// figures adds up what the nodes count, over all labels.
func figures(t *testing.T, c *harness.Cluster) map[string]float64 {
	t.Helper()
	line := regexp.MustCompile(`(?m)^(pfs_[a-z_]+)(?:\{.*\})? ([0-9.e+]+)$`)
	sum := map[string]float64{}
	for _, n := range c.Nodes {
		resp, err := http.Get(n.URL + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range line.FindAllSubmatch(b, -1) {
			v, err := strconv.ParseFloat(string(m[2]), 64)
			if err != nil {
				t.Fatal(err)
			}
			sum[string(m[1])] += v
		}
	}
	return sum
}
