package test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
)

// powered is a cluster whose nodes each have a disk that can lose power.
type powered struct {
	*harness.Cluster
	t     *testing.T
	disks []*harness.Disk
	mu    sync.Mutex
	acked map[string]string // path to content
}

func startPowered(t *testing.T, bin, logStore string) *powered {
	t.Helper()
	p := &powered{t: t, acked: map[string]string{}}
	for range 3 {
		p.disks = append(p.disks, harness.NewDisk(t, 400))
	}
	config := fmt.Sprintf("cluster: {log_store: %s}\nplugins: {memfs: {path: /memfs}}\n", logStore)
	p.Cluster = harness.Start(t, harness.Options{Nodes: 3, Bin: bin, Args: []string{"-log-level", "error"},
		Config: func(int) string { return config },
		Dir:    func(i int) string { return p.disks[i].Dir() + "/data" }})
	return p
}

// cut writes from many clients through all nodes and takes the power of all
// disks within 10 ms of an acknowledgement. It returns how long that took.
func (p *powered) cut(round int) time.Duration {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	trigger := make(chan time.Time, 1)
	after := 50 + rand.IntN(200)
	var wg sync.WaitGroup
	var n int
	for i := range 12 {
		cl := p.Nodes[i%3].Client()
		wg.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				path, content := fmt.Sprintf("/memfs/r%d-c%d-%d", round, i, k), fmt.Sprintf("round %d client %d write %d", round, i, k)
				if i%4 == 0 { // long enough to be chunks
					content = strings.Repeat(content+"\n", 4000)
				}
				if _, err := cl.WriteFile(ctx, path, []byte(content)); err != nil {
					return
				}
				now := time.Now()
				p.mu.Lock()
				p.acked[path] = content
				if n++; n == after {
					trigger <- now
				}
				p.mu.Unlock()
			}
		})
	}
	select {
	case <-time.After(30 * time.Second):
		p.t.Fatalf("round %d: %d acknowledgements in 30 s", round, n)
	case at := <-trigger:
		var cuts sync.WaitGroup
		for _, d := range p.disks {
			cuts.Go(func() {
				if err := d.Cut(); err != nil {
					p.t.Errorf("power cut: %v", err)
				}
			})
		}
		cuts.Wait()
		took := time.Since(at)
		cancel()
		p.KillAll()
		wg.Wait()
		for _, d := range p.disks {
			d.Unmount()
			d.Mount()
		}
		return took
	}
	return 0
}

// lost reads back what was acknowledged, from every node, and returns how
// much of it is gone.
func (p *powered) lost() (lost int) {
	p.t.Helper()
	ctx := context.Background()
	for i, n := range p.Nodes {
		cl := p.reader(n)
		for path, want := range p.acked {
			if b, err := cl.ReadFile(ctx, path); err != nil || string(b) != want {
				lost++
				if lost <= 3 {
					p.t.Logf("node %d: %s: %d of %d bytes (%v)", i+1, path, len(b), len(want), err)
				}
			}
		}
	}
	return lost
}

// reader returns a client of one node that has applied all that was decided.
func (p *powered) reader(n *harness.Node) *client.Client {
	resp, err := http.Get(n.URL + "/api/v1/stat?path=/memfs&consistency=linearizable")
	if err != nil {
		p.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body) // the answer itself is of no interest
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: linearizable stat: %s", n.ID, resp.Status)
	}
	return n.Client()
}

// TestPowerCuts takes the power of all three nodes at once, again and again,
// with either log store: nothing acknowledged may be lost.
func TestPowerCuts(t *testing.T) {
	t.Run("bolt", func(t *testing.T) { powerCuts(t, "bolt", rounds(20, 100)) })
	t.Run("pebble", func(t *testing.T) { powerCuts(t, "pebble", rounds(6, 100)) })
}

// powerCuts goes on until n cuts came within 10 ms of an acknowledgement.
func powerCuts(t *testing.T, logStore string, n int) {
	p := startPowered(t, "", logStore)
	good := 0
	for round := 0; good < n; round++ {
		if round == 3*n {
			t.Fatalf("of %d cuts only %d came within 10 ms of an acknowledgement", round, good)
		}
		if p.cut(round) <= 10*time.Millisecond {
			good++
		}
		p.StartAll()
		p.Ready()
		if lost := p.lost(); lost > 0 {
			t.Fatalf("round %d: %d acknowledged writes are lost", round, lost)
		}
	}
	index, digest := p.SameDigest()
	t.Logf("%s: %d power cuts of all three nodes within 10 ms of an acknowledgement, %d acknowledged writes: lost 0; digest at %d %.16s",
		logStore, good, len(p.acked), index, digest)
}
