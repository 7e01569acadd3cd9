package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// moved is how long leadership may take to leave a node whose disk stands
// still.
const moved = 15 * time.Second

// TestStuckDisk has the disk of the leader stand still, and then that of a
// follower, again and again under a load: leadership moves, writes go on, and
// when the disk goes on the node is back, started again by its supervisor at
// most, and nothing is lost.
func TestStuckDisk(t *testing.T) {
	t.Run("bolt", func(t *testing.T) { stuckDisk(t, "bolt", rounds(5, 20)) })
	t.Run("pebble", func(t *testing.T) { stuckDisk(t, "pebble", rounds(2, 20)) })
}

func stuckDisk(t *testing.T, logStore string, n int) {
	t.Parallel()
	b := burden(t, 512, fmt.Sprintf("cluster: {log_store: %s}\n", logStore)) // room for what a slow machine writes meanwhile
	b.mortal = true
	var slowest time.Duration
	codes := map[int]int{}
	for round := range n {
		b.until("writes", b.written, each(20))
		i := b.index(b.Leader())
		leads := round%3 != 2
		if !leads {
			i = (i + 1) % 3
		}
		start := time.Now()
		b.disks[i].Freeze()
		thawed := false
		defer func() {
			if !thawed {
				b.disks[i].Thaw()
			}
		}()
		if leads {
			others := b.others(i)
			if !harness.Poll(60*time.Second, func() bool { l := others.Leader(); return l != nil && l != b.Nodes[i] }) {
				t.Fatalf("round %d: %s still leads\n%s", round, b.Nodes[i].ID, b.Nodes[i].Tail())
			}
			slowest = max(slowest, time.Since(start))
		}
		b.until("writes beside a disk that stands still", b.written, func(since []int64) bool {
			return since[(i+1)%3] > 20 && since[(i+2)%3] > 20
		})
		// Long enough for the node to give up, at times, and too short at others.
		harness.Poll(time.Duration(round%4)*4*time.Second, func() bool { return false })
		b.disks[i].Thaw()
		thawed = true
		b.recovers(i, codes)
	}
	if slowest > moved {
		t.Errorf("leadership moved after %v, expected %v at most", slowest, moved)
	}
	t.Logf("leadership moved after %v at most; exit codes of nodes that ended: %v", slowest, codes)
	b.settle()
}

// others is the cluster without one node.
func (b *burdened) others(i int) *harness.Cluster {
	c := *b.Cluster
	c.Nodes = []*harness.Node{b.Nodes[(i+1)%3], b.Nodes[(i+2)%3]}
	return &c
}

// recovers waits until a node takes writes again, and starts it whenever it
// ends with the code of a fault.
func (b *burdened) recovers(i int, codes map[int]int) {
	b.t.Helper()
	n := b.Nodes[i]
	before := b.written[i].Load()
	ok := harness.Poll(90*time.Second, func() bool {
		if code, ended := n.Revive(); ended {
			if codes[code]++; code != 5 {
				b.t.Fatalf("%s ended with code %d\n%s", n.ID, code, n.Tail())
			}
		}
		return b.written[i].Load() > before+20
	})
	if !ok {
		b.t.Fatalf("%s does not come back\n%s", n.ID, n.Tail())
	}
	n.Ready()
}

// TestStuckPart has the disk of one part of the leader's data stand still,
// which is not that of its log: the node ends, and another leads.
func TestStuckPart(t *testing.T) {
	for _, part := range []string{"state", "blobs"} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			stuckPart(t, part)
		})
	}
}

func stuckPart(t *testing.T, part string) {
	disk := harness.NewDisk(t, 192)
	c := harness.Start(t, harness.Options{Nodes: 3, Args: []string{"-log-level", "warn"}})
	here, aside := filepath.Join(c.Nodes[0].Dir, part), filepath.Join(disk.Dir(), part)
	c.Nodes[0].Stop()
	if out, err := harness.Output("mv", here, aside); err != nil {
		t.Fatal(err, out)
	}
	if err := os.Symlink(aside, here); err != nil {
		t.Fatal(err)
	}
	c.StartAll()
	c.Ready()
	for {
		l := c.Leader()
		if l == nil {
			t.Fatal("no leader")
		}
		if l == c.Nodes[0] { // the first one is to lead
			break
		}
		l.Kill()
		c.StartAll()
		c.Ready()
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for i, n := range c.Nodes {
		cl := n.Client()
		wg.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				// What it answers is of no interest: the disk is to be used.
				_, _ = cl.WriteFile(ctx, fmt.Sprintf("/memfs/%d-%d", i, k%9), []byte(strings.Repeat(fmt.Sprint(i, k, " "), 10000)))
			}
		})
	}
	start := time.Now()
	disk.Freeze()
	others := *c
	others.Nodes = c.Nodes[1:]
	gave := harness.Poll(60*time.Second, func() bool { l := others.Leader(); return l != nil && l != c.Nodes[0] })
	took := time.Since(start)
	harness.Poll(moved, func() bool { return false }) // until the node has given up
	disk.Thaw()
	if !gave || took > moved {
		t.Errorf("leadership moved after %v, expected %v at most\n%s", took, moved, c.Nodes[0].Tail())
	}
	if !harness.Poll(20*time.Second, func() bool { return !c.Nodes[0].Alive() }) {
		t.Fatalf("it did not end\n%s", c.Nodes[0].Tail())
	}
	if code, _ := c.Nodes[0].Revive(); code != 5 {
		t.Errorf("exit code %d\n%s", code, c.Nodes[0].Tail())
	}
	stop()
	c.Ready()
	c.SameDigest()
	t.Logf("leadership moved after %v", took)
}
