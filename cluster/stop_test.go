package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// ours returns the stacks of goroutines of nodes and of raft.
func ours() (count int, stacks string) {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var out []string
	for _, g := range strings.Split(string(buf), "\n\n") {
		if (strings.Contains(g, "pfs/cluster.") || strings.Contains(g, "hashicorp/raft.")) && !strings.Contains(g, "testing.tRunner") {
			out = append(out, g)
		}
	}
	return len(out), strings.Join(out, "\n\n")
}

func TestStopLeavesNothingRunning(t *testing.T) {
	g := newGang(t, 3, nil)
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() { g.write(i%3, vfs.Path(fmt.Sprintf("/m/f%d", i)), "x") })
	}
	wg.Wait()
	g.stopAll()
	var stacks string
	defer func() {
		if t.Failed() {
			t.Log(stacks)
		}
	}()
	poll(t, "all goroutines to end", func() bool {
		var n int
		n, stacks = ours()
		return n == 0
	})
}

// TestStopUnderLoad stops nodes one after the other under writes without keys:
// none of them may end without a definite outcome.
func TestStopUnderLoad(t *testing.T) {
	g := newGang(t, 3, func(_ int, c *Config) { c.Election = unshaken }) // no leader is lost for another reason
	var stop atomic.Bool
	var wg sync.WaitGroup
	client := g.nodes[0]
	var acked atomic.Int64
	for c := range 8 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				r := writeOp(vfs.Path(fmt.Sprintf("/m/f%d", c)), vfs.Content{Data: []byte(fmt.Sprint(i))})
				r.Key = ""
				out, err := client.Propose(context.Background(), r)
				if err != nil || out.Err != nil {
					t.Errorf("write %d of %d: %v, %v", i, c, err, out.Err)
					return
				}
				acked.Add(1)
			}
		})
	}
	for _, i := range []int{1, 2, 1} {
		before := acked.Load()
		g.stop(i)
		poll(t, "writes to go on", func() bool { return acked.Load() > before+20 || t.Failed() })
		g.start(i)
		g.ready()
	}
	stop.Store(true)
	wg.Wait()
	g.sameDigest()
}

func TestDirectoryOfAnotherNode(t *testing.T) {
	g := newGang(t, 1, nil)
	g.stop(0)
	c := g.conf[0]
	c.NodeID = "other"
	if n, err := Start(t.Context(), c); err == nil {
		n.Stop(context.Background())
		t.Error("another node took the directory")
	}
	if err := os.RemoveAll(c.Dir + "/raft"); err != nil {
		t.Fatal(err)
	}
	if n, err := Start(t.Context(), g.conf[0]); err == nil {
		n.Stop(context.Background())
		t.Error("started with a state but no log")
	}
}

// TestFaultEndsNode has a node meet a fault: it takes nothing more and says so
// once.
func TestFaultEndsNode(t *testing.T) {
	told := make(chan error, 3)
	g := newGang(t, 1, func(_ int, c *Config) { c.Fatal = func(err error) { told <- err } })
	n := g.nodes[0]
	n.fail(errors.New("disk is gone"))
	n.fail(errors.New("again"))
	if err := <-told; err == nil || err.Error() != "disk is gone" {
		t.Errorf("told %v", err)
	}
	if err := n.Ready(); err == nil {
		t.Error("it is ready")
	}
	if _, err := n.Propose(t.Context(), writeOp("/m/a", vfs.Content{})); vfs.KindOf(err) != vfs.Unavailable {
		t.Errorf("a write: %v", err)
	}
	for _, l := range []vfs.Level{{}, {Linearizable: true}} {
		if _, err := n.Image(t.Context(), l); vfs.KindOf(err) != vfs.Unavailable {
			t.Errorf("a read: %v", err)
		}
	}
	if len(told) > 0 {
		t.Error("told twice")
	}
}

// TestStoppedNodeRefusesReads asks a node for a state after it was stopped: it is
// told so, and given nothing whose reads would panic.
func TestStoppedNodeRefusesReads(t *testing.T) {
	g := newGang(t, 1, nil)
	n := g.nodes[0]
	g.write(0, "/m/a", "x")
	g.stop(0)
	if im, err := n.Image(t.Context(), vfs.Level{}); vfs.KindOf(err) != vfs.Unavailable {
		t.Errorf("it gave %+v, %v", im, err)
	}
}
