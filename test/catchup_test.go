package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
)

// TestCatchUp empties the directory of a node while the others take writes: it
// gets the whole state and all content again, writes go on meanwhile, and log
// and snapshots take no more disk than they may.
func TestCatchUp(t *testing.T) {
	size := int64(rounds(96, 2048)) << 20
	c := harness.Start(t, harness.Options{Nodes: 3, Args: []string{"-log-level", "info"}})
	filled := fillState(t, c, size)
	c.SameDigest()
	lost := c.Nodes[0]
	if lost == c.Leader() {
		lost = c.Nodes[1]
	}
	w := writeOn(t, c, lost)
	before := w.during(func() { harness.Poll(time.Duration(rounds(3, 30))*time.Second, func() bool { return false }) })

	lost.Kill()
	if err := os.RemoveAll(lost.Dir); err != nil {
		t.Fatal(err)
	}
	var took, content time.Duration
	peak := newPeaks(c)
	during := w.during(func() {
		start := time.Now()
		lost.Start()
		caught := func(metric string, most float64) bool {
			peak.look()
			resp, err := http.Get(lost.URL + "/api/v1/ready")
			if err != nil {
				return false
			}
			resp.Body.Close()
			v, ok := metricOf(lost, metric)
			return resp.StatusCode == http.StatusOK && ok && v <= most
		}
		if !harness.Poll(time.Duration(rounds(120, 1800))*time.Second, func() bool { return caught("pfs_apply_lag_entries", 100) }) {
			t.Fatalf("it does not catch up\n%s", lost.Tail())
		}
		took = time.Since(start)
		if !harness.Poll(time.Duration(rounds(120, 1800))*time.Second, func() bool { return caught("pfs_missing_chunks", 0) }) {
			t.Fatalf("it does not get all content\n%s", lost.Tail())
		}
		content = time.Since(start)
	})
	w.stop()
	index, digest := c.SameDigest()
	sent := sumOf(c, "pfs_snapshot_sent_bytes_total")
	t.Logf("state of %d MiB in %d files; before: %v; while a node catches up: %v", filled.bytes>>20, filled.files, before, during)
	t.Logf("the state was there after %v, with %.0f MiB of snapshots (%.0f sent, %.0f again); all content after %v; digest at %d %.16s",
		took.Round(100*time.Millisecond), sent/(1<<20), sumOf(c, `pfs_snapshot_sends_total{outcome="taken"}`), sumOf(c, "pfs_snapshot_repeats_total"),
		content.Round(100*time.Millisecond), index, digest)
	t.Logf("disk of one node: %s", peak)
	// In the short form beside other tests, which hold up all nodes.
	if limit := time.Duration(rounds(30, 1)) * time.Second; during.stall > limit {
		t.Errorf("writes stood still for %v, at most %v are fine", during.stall, limit)
	}
	if peak.log > 700<<20 {
		t.Errorf("the log took %d MiB of disk", peak.log>>20)
	}
}

// fill is what fillState wrote.
type fill struct{ bytes, files int64 }

// fillState writes so many bytes: of files that are rows of the state, and of
// longer ones that are chunks, about as many bytes of each.
func fillState(t *testing.T, c *harness.Cluster, size int64) fill {
	t.Helper()
	var f fill
	var written, files atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		cl := c.Client(i)
		wg.Go(func() {
			r := rand.NewChaCha8([32]byte{byte(i)})
			for k := 0; written.Load() < size && !t.Failed(); k++ {
				b := make([]byte, 30<<10)
				if k%40 == 0 {
					b = make([]byte, 1200<<10)
				}
				_, _ = r.Read(b) // never fails
				if _, err := cl.WriteFile(t.Context(), fmt.Sprintf("/memfs/fill-%d-%d", i, k), b); err != nil {
					t.Error(err)
					return
				}
				written.Add(int64(len(b)))
				files.Add(1)
			}
		})
	}
	wg.Wait()
	f.bytes, f.files = written.Load(), files.Load()
	return f
}

// writers write small files all the time, through the nodes that stay.
type writers struct {
	stop func()
	mu   sync.Mutex
	last time.Time
	now  quiet
}

// quiet is how writes fared for a while.
type quiet struct {
	writes         int64
	stall, slowest time.Duration // without any acknowledgement; of one write
	took           time.Duration
}

func (q quiet) String() string {
	return fmt.Sprintf("%.0f writes/s, longest stall %v, slowest write %v",
		float64(q.writes)/q.took.Seconds(), q.stall.Round(time.Millisecond), q.slowest.Round(time.Millisecond))
}

func writeOn(t *testing.T, c *harness.Cluster, but *harness.Node) *writers {
	ctx, cancel := context.WithCancel(context.Background())
	w := &writers{}
	var wg sync.WaitGroup
	w.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(w.stop)
	for i, n := range c.Nodes {
		if n == but {
			continue
		}
		for k := range 4 {
			wg.Go(func() { w.write(ctx, t, n.Client(), fmt.Sprintf("/memfs/on-%d-%d-", i, k)) })
		}
	}
	return w
}

func (w *writers) write(ctx context.Context, t *testing.T, cl *client.Client, name string) {
	b := make([]byte, 1<<10)
	for k := 0; ctx.Err() == nil; k++ {
		start := time.Now()
		_, err := cl.WriteFile(ctx, name+strconv.Itoa(k%500), b)
		now := time.Now()
		if errors.Is(err, client.ErrNoLeader) && ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond) // it is a stall as long as all have none
			continue
		}
		if err != nil {
			if ctx.Err() == nil {
				t.Errorf("write: %v", err)
			}
			return
		}
		w.mu.Lock()
		w.now.writes++
		w.now.slowest = max(w.now.slowest, now.Sub(start))
		if !w.last.IsZero() {
			w.now.stall = max(w.now.stall, now.Sub(w.last))
		}
		w.last = now
		w.mu.Unlock()
	}
}

// during returns how writes fared while f ran.
func (w *writers) during(f func()) quiet {
	w.mu.Lock()
	w.now, w.last = quiet{}, time.Time{}
	w.mu.Unlock()
	start := time.Now()
	f()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now.took = time.Since(start)
	return w.now
}

// peaks is the most disk that a part of a node's directory took.
type peaks struct {
	c                *harness.Cluster
	log, state, blob int64
}

func newPeaks(c *harness.Cluster) *peaks { return &peaks{c: c} }

func (p *peaks) look() {
	for _, n := range p.c.Nodes {
		p.log = max(p.log, harness.DiskUse(filepath.Join(n.Dir, "raft")))
		p.state = max(p.state, harness.DiskUse(filepath.Join(n.Dir, "state")))
		p.blob = max(p.blob, harness.DiskUse(filepath.Join(n.Dir, "blobs")))
	}
}

func (p *peaks) String() string {
	return fmt.Sprintf("log %d MiB, state with snapshots under way %d MiB, content %d MiB at most", p.log>>20, p.state>>20, p.blob>>20)
}

// metricOf reads one figure of a node; false if it does not answer.
func metricOf(n *harness.Node, name string) (float64, bool) {
	resp, err := http.Get(n.URL + "/metrics")
	if err != nil {
		return 0, false
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			return v, err == nil
		}
	}
	return 0, false
}

// sumOf adds a figure of all nodes.
func sumOf(c *harness.Cluster, name string) (sum float64) {
	for _, n := range c.Nodes {
		v, _ := metricOf(n, name) // none counts as zero
		sum += v
	}
	return sum
}
