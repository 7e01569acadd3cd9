package cluster

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// fill writes count files of 30 KiB through node i.
func (g *gang) fill(i, count int) {
	g.t.Helper()
	for k := range count {
		out, err := g.nodes[i].Propose(testContext(g.t), writeOp(vfs.Path(fmt.Sprintf("/m/fill%d", k%20)),
			vfs.Content{Data: bytes.Repeat([]byte{byte(k)}, 30<<10)}))
		if err != nil || out.Err != nil {
			g.t.Fatal(err, out.Err)
		}
	}
}

// TestLogIsBounded writes many times what the log may hold.
func TestLogIsBounded(t *testing.T) {
	const grows, kept = 1 << 20, 2 << 20
	for _, store := range []string{"bolt", "pebble"} {
		t.Run(store, func(t *testing.T) {
			g := newGang(t, 1, func(_ int, c *Config) { c.LogStore, c.logNew, c.logKept = store, grows, kept })
			n := g.nodes[0]
			for range 10 {
				g.fill(0, 60)
				poll(t, "the log to be cut", func() bool { return n.logs.Bytes(0, math.MaxUint64) <= grows+kept })
			}
			if b := n.logs.Bytes(0, math.MaxUint64); b < kept/2 {
				t.Errorf("%d bytes are left for nodes that lag", b)
			}
			if disk := n.logs.Disk(); disk > 40<<20 {
				t.Errorf("%d bytes on disk", disk)
			}
			g.stop(0)
			g.start(0)
			g.ready()
			g.write(0, "/m/after", "x")
			if b := g.nodes[0].logs.Bytes(0, math.MaxUint64); b > 40<<20 {
				t.Errorf("%d bytes after it was opened afresh", b)
			}
		})
	}
}

// TestHeldLog has the log held for a node that is sent a snapshot, until it has
// caught up or makes no progress.
func TestHeldLog(t *testing.T) {
	g := newGang(t, 1, func(_ int, c *Config) { c.logNew, c.logKept, c.trailing = 1<<20, 1<<20, 1 })
	n := g.nodes[0]
	first := func() uint64 {
		f, err := n.logs.FirstIndex()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	snapshot := func() {
		t.Helper()
		if err := n.Snapshot(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	g.fill(0, 20)
	list, err := n.shots.List()
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	meta, r, err := n.shots.Open(list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	g.fill(0, 20)
	snapshot()
	if f := first(); f > meta.Index+1 {
		t.Errorf("the log begins at %d while a snapshot of %d is sent", f, meta.Index)
	}
	n.shots.sent("other", meta.Index)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	snapshot()
	if f := first(); f > meta.Index+1 {
		t.Errorf("the log begins at %d when a snapshot of %d has arrived", f, meta.Index)
	}
	n.shots.progress("other", meta.Index+5)
	g.fill(0, 1)
	snapshot()
	if f := first(); f != meta.Index+6 {
		t.Errorf("the log begins at %d when entry %d has arrived", f, meta.Index+5)
	}
	n.shots.sent("silent", 1)
	n.shots.mu.Lock()
	n.shots.held["silent"].at = time.Now().Add(-heldTime - time.Second)
	delete(n.shots.held, "other")
	n.shots.mu.Unlock()
	g.fill(0, 1)
	snapshot()
	if f := first(); f < meta.Index+20 {
		t.Errorf("the log begins at %d though nobody needs it", f)
	}
}
