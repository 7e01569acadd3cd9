package test

import (
	"context"
	"fmt"
	"math/rand/v2"
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
	all   []*harness.Node // Nodes are those that are members
	mu    sync.Mutex
	acked map[string]string // path to content
	fresh map[string]string // of these, what the last cut came after

	refused error     // the last
	newest  time.Time // of all acknowledgements
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
	p.all = p.Nodes
	return p
}

// cut writes from many clients through all nodes and takes the power of some
// nodes, or of all if which is nil. It returns how long before that the last
// acknowledgement came. The nodes are down then, their disks mounted.
func (p *powered) cut(round int, which []int) time.Duration {
	p.t.Helper()
	if which == nil {
		which = []int{0, 1, 2}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	trigger := make(chan struct{}, 1)
	wg := p.write(ctx, round, 50+rand.IntN(200), trigger)
	select {
	case <-time.After(5 * time.Minute):
		p.mu.Lock()
		defer p.mu.Unlock()
		p.t.Fatalf("round %d: too few acknowledgements in 5 minutes; one error was %v", round, p.refused)
	case <-trigger:
		var cuts sync.WaitGroup
		for _, i := range which {
			cuts.Go(func() {
				p.all[i].Freeze()
				if err := p.disks[i].Cut(); err != nil {
					p.t.Errorf("power cut: %v", err)
				}
			})
		}
		cuts.Wait()
		at := time.Now()
		var kills sync.WaitGroup
		for _, i := range which {
			kills.Go(p.all[i].Kill)
		}
		kills.Wait()
		if len(which) < 3 { // the others go on
			<-time.After(time.Duration(rand.IntN(300)) * time.Millisecond)
		}
		cancel()
		wg.Wait()
		for _, i := range which {
			p.disks[i].Unmount()
			p.disks[i].Mount()
		}
		return at.Sub(p.newest)
	}
	return 0
}

// write has clients write until ctx is done. After so many acknowledgements it
// pulls the trigger.
func (p *powered) write(ctx context.Context, round, after int, trigger chan<- struct{}) *sync.WaitGroup {
	var wg sync.WaitGroup
	n := 0
	p.fresh = map[string]string{}
	for i := range 12 {
		cl := p.Nodes[i%len(p.Nodes)].Client()
		wg.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				path, content := fmt.Sprintf("/memfs/r%d-c%d-%d", round, i, k), fmt.Sprintf("round %d client %d write %d", round, i, k)
				if i%4 == 0 { // long enough to be chunks
					content = strings.Repeat(content+"\n", 1500)
				}
				if _, err := cl.WriteFile(ctx, path, []byte(content)); err != nil { // who leads may change
					p.mu.Lock()
					p.refused = err
					p.mu.Unlock()
					<-time.After(10 * time.Millisecond)
					continue
				}
				p.mu.Lock()
				p.newest = time.Now()
				p.acked[path], p.fresh[path] = content, content
				if n++; n == after {
					trigger <- struct{}{}
				}
				p.mu.Unlock()
			}
		})
	}
	return &wg
}

// lost reads back what was written, from every member, and returns how much of
// it is gone.
func (p *powered) lost(written map[string]string) (lost int) {
	p.t.Helper()
	ctx := context.Background()
	for _, n := range p.Nodes {
		cl := p.reader(n)
		for path, want := range written {
			if b, err := cl.ReadFile(ctx, path); err != nil || string(b) != want {
				lost++
				if lost <= 3 {
					p.t.Logf("%s: %s: %d of %d bytes (%v)", n.ID, path, len(b), len(want), err)
				}
			}
		}
	}
	return lost
}

// reader returns a client of one node that has applied all that was decided, which
// asks again what the node has no time for.
func (p *powered) reader(n *harness.Node) *client.Client {
	p.t.Helper()
	newWeb(p.t, n).want(200, "GET", "/stat?path=/memfs&consistency=linearizable", "")
	cl, err := client.New(client.Config{URLs: []string{n.URL}, Retries: 8})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(cl.Close)
	return cl
}

// TestPowerCuts takes the power of all three nodes at once, again and again,
// with either log store: nothing acknowledged may be lost.
func TestPowerCuts(t *testing.T) {
	t.Run("bolt", func(t *testing.T) { powerCuts(t, "bolt", rounds(6, 100)) })
	t.Run("pebble", func(t *testing.T) { powerCuts(t, "pebble", rounds(20, 100)) })
}

// soon is what a power cut comes within of an acknowledgement, to count: ext4 writes
// back on its own what is five seconds old, so what was not synced is lost then. On
// a machine at rest it is within 10 ms, on a busy one later, and not always soon.
const soon = 250 * time.Millisecond

// powerCuts goes on until n cuts came soon after an acknowledgement.
func powerCuts(t *testing.T, logStore string, n int) {
	p := startPowered(t, "", logStore)
	good, at10 := 0, 0
	for round := 0; good < n; round++ {
		if round == 5*n {
			t.Fatalf("of %d cuts only %d came within %v of an acknowledgement", round, good, soon)
		}
		after := p.cut(round, nil)
		if after <= soon {
			good++
		}
		if after <= 10*time.Millisecond {
			at10++
		}
		p.StartAll()
		p.Ready()
		if lost := p.lost(p.acked); lost > 0 {
			t.Fatalf("round %d: %d acknowledged writes are lost", round, lost)
		}
	}
	index, digest := p.SameDigest()
	t.Logf("%s: %d power cuts of all three nodes within %v of an acknowledgement, %d of them within 10 ms, %d acknowledged writes: lost 0; digest at %d %.16s",
		logStore, good, soon, at10, len(p.acked), index, digest)
}
