package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/vfs"
)

// burdened is a cluster under load whose disks can be filled and stopped. It
// keeps book of what was acknowledged.
type burdened struct {
	*harness.Cluster
	t     *testing.T
	disks []*harness.Disk
	pids  []int

	mortal bool // nodes may end and be started again

	mu      sync.Mutex
	acked   map[string][]byte
	noSpace []atomic.Int64 // answers 507, by node
	written []atomic.Int64 // acknowledged, by node
	unread  atomic.Int64   // reads that failed
	reads   atomic.Int64
	stop    context.CancelFunc
	wg      sync.WaitGroup
}

// burden starts three nodes on disks of so many MiB, and a load on each.
func burden(t *testing.T, mib int, config string) *burdened {
	t.Helper()
	b := &burdened{t: t, acked: map[string][]byte{}, noSpace: make([]atomic.Int64, 3), written: make([]atomic.Int64, 3)}
	for range 3 {
		b.disks = append(b.disks, harness.NewDisk(t, mib))
	}
	b.Cluster = harness.Start(t, harness.Options{Nodes: 3, Args: []string{"-log-level", "warn"},
		Config: func(int) string { return config + "plugins: {memfs: {path: /memfs}}\n" },
		Dir:    func(i int) string { return b.disks[i].Dir() + "/data" }})
	for _, n := range b.Nodes {
		b.pids = append(b.pids, n.Pid())
	}
	putFile(t, b.Client(0), "/memfs/first", "first")
	b.SameDigest() // all have it
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	t.Cleanup(func() { stop(); b.wg.Wait() })
	for i := range b.Nodes {
		b.wg.Go(func() { b.write(ctx, i) })
		b.wg.Go(func() { b.read(ctx, i) })
	}
	return b
}

// write writes small files and some that are chunks, through one node.
func (b *burdened) write(ctx context.Context, i int) {
	cl := b.Nodes[i].Client()
	for k := 0; ctx.Err() == nil; k++ {
		path := fmt.Sprintf("/memfs/n%d-%d", i, k%50)
		content := bytes.Repeat(fmt.Appendf(nil, "node %d write %d\n", i, k), 1+rand.IntN(60))
		if k%20 == 7 {
			content = bytes.Repeat(content, 200)
		}
		b.put(ctx, cl, i, path, content)
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// put writes a file and notes how that ended. It is the only writer of path.
func (b *burdened) put(ctx context.Context, cl *client.Client, i int, path string, content []byte) error {
	within, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	_, err := cl.WriteFile(within, path, content)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
		b.acked[path] = content
		b.written[i].Add(1)
	case errors.Is(err, client.ErrUnknown), ctx.Err() != nil:
		delete(b.acked, path) // it may have been applied
	case vfs.KindOf(err) == vfs.NoSpace:
		b.noSpace[i].Add(1)
	}
	return err
}

// read reads a file all the time: however full the disk is, that works.
func (b *burdened) read(ctx context.Context, i int) {
	cl := b.Nodes[i].Client()
	for ctx.Err() == nil {
		got, err := cl.ReadFile(ctx, "/memfs/first")
		if ctx.Err() != nil {
			return
		}
		if b.reads.Add(1); err != nil || string(got) != "first" {
			b.unread.Add(1)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// until waits until f is true for the difference of two counters since now.
func (b *burdened) until(what string, counters []atomic.Int64, f func(since []int64) bool) {
	b.t.Helper()
	before, since := make([]int64, len(counters)), make([]int64, len(counters))
	for i := range counters {
		before[i] = counters[i].Load()
	}
	ok := harness.Poll(90*time.Second, func() bool {
		for i := range counters {
			since[i] = counters[i].Load() - before[i]
		}
		return f(since)
	})
	if !ok {
		var logs strings.Builder
		for _, n := range b.Nodes {
			logs.WriteString(n.Tail() + "\n")
		}
		b.t.Fatalf("not within 90 s: %s; since then %v\n%s", what, since, logs.String())
	}
}

func each(min int64) func([]int64) bool {
	return func(since []int64) bool {
		for _, n := range since {
			if n < min {
				return false
			}
		}
		return true
	}
}

// settle ends the load, and compares what is there with what was acknowledged.
func (b *burdened) settle() {
	b.t.Helper()
	b.stop()
	b.wg.Wait()
	for i, n := range b.Nodes {
		if !n.Alive() || n.Pid() != b.pids[i] && !b.mortal {
			b.t.Errorf("%s was started again, or has ended\n%s", n.ID, n.Tail())
		}
	}
	index, digest := b.SameDigest()
	lost := 0
	for _, n := range b.Nodes {
		cl := stubborn(b.t, n)
		for path, want := range b.acked {
			got, err := cl.ReadFile(context.Background(), path)
			if err != nil || !bytes.Equal(got, want) {
				if lost++; lost < 4 {
					b.t.Errorf("%s at %s: %d of %d bytes: %v", path, n.ID, len(got), len(want), err)
				}
			}
		}
	}
	if n := b.unread.Load(); n > 0 && !b.mortal {
		b.t.Errorf("%d of %d reads failed", n, b.reads.Load())
	}
	if testing.Verbose() {
		for _, n := range b.Nodes {
			b.t.Log(n.Tail())
		}
	}
	b.t.Logf("lost %d of %d files; reads failed %d of %d; digest at %d %.16s", lost, len(b.acked), b.unread.Load(), b.reads.Load(), index, digest)
}

// TestDiskFull fills disks to the last block under a load, with the file of
// somebody else and with what clients write: writes are refused with 507 and
// reads go on, and all comes back by itself when there is space.
func TestDiskFull(t *testing.T) {
	t.Run("bolt", func(t *testing.T) { diskFull(t, "bolt", rounds(5, 30)) })
	t.Run("pebble", func(t *testing.T) { diskFull(t, "pebble", rounds(3, 30)) })
}

func diskFull(t *testing.T, logStore string, n int) {
	t.Parallel()
	b := burden(t, 192, fmt.Sprintf("cluster: {log_store: %s, chunk_grace: 1s}\n", logStore))
	kinds := []func(*burdened){(*burdened).fillAll, (*burdened).fillLeader, (*burdened).fillFollower, (*burdened).fillTwo, (*burdened).fillByWrites}
	for round := range n {
		b.until("writes", b.written, each(20))
		kinds[round%len(kinds)](b)
		b.until("writes after there is space", b.written, each(20))
	}
	b.settle()
}

// fillAll has no disk with space.
func (b *burdened) fillAll() {
	for _, d := range b.disks {
		d.Fill()
	}
	b.until("all nodes to refuse writes", b.noSpace, each(5))
	for _, d := range b.disks {
		d.Fill() // what the nodes gave up meanwhile is gone, too
	}
	b.until("all nodes to refuse writes, to the last block", b.noSpace, each(3))
	for _, d := range b.disks {
		d.Free()
	}
}

// fillTwo leaves one disk with space, which is no quorum.
func (b *burdened) fillTwo() {
	i := rand.IntN(3)
	b.disks[i].Fill()
	b.disks[(i+1)%3].Fill()
	b.until("writes to be refused", b.noSpace, func(since []int64) bool { return since[0]+since[1]+since[2] > 10 })
	b.disks[i].Free()
	b.disks[(i+1)%3].Free()
}

// fillLeader has leadership move to a node whose disk has space.
func (b *burdened) fillLeader() {
	b.t.Helper()
	lead := b.index(b.Leader())
	b.disks[lead].Fill()
	if !harness.Poll(60*time.Second, func() bool { l := b.Leader(); return l != nil && b.index(l) != lead }) {
		b.t.Fatalf("%s leads with a full disk\n%s", b.Nodes[lead].ID, b.Nodes[lead].Tail())
	}
	others := func(since []int64) bool { return since[(lead+1)%3] > 20 && since[(lead+2)%3] > 20 }
	b.until("writes beside a full disk", b.written, others)
	b.disks[lead].Free()
}

// fillFollower has the others go on.
func (b *burdened) fillFollower() {
	b.t.Helper()
	i := (b.index(b.Leader()) + 1) % 3
	b.disks[i].Fill()
	b.until("writes beside a full disk", b.written, func(since []int64) bool { return since[(i+1)%3] > 20 && since[(i+2)%3] > 20 })
	b.disks[i].Free()
}

func (b *burdened) index(n *harness.Node) int {
	b.t.Helper()
	for i := range b.Nodes {
		if b.Nodes[i] == n {
			return i
		}
	}
	b.t.Fatal("no leader")
	return 0
}

// fillByWrites writes until there is no space, and removes what it wrote.
func (b *burdened) fillByWrites() {
	b.t.Helper()
	cl := b.Client(0)
	content := make([]byte, 4<<20)
	for k := 0; ; k++ {
		path := fmt.Sprintf("/memfs/filler-%d", k)
		_, _ = rand.NewChaCha8([32]byte{byte(k)}).Read(content)
		_, err := cl.WriteFile(b.t.Context(), path, content)
		if vfs.KindOf(err) == vfs.NoSpace {
			b.t.Logf("full after %d files of 4 MiB", k)
			for ; k >= 0; k-- {
				if err := cl.Remove(b.t.Context(), fmt.Sprintf("/memfs/filler-%d", k)); err != nil && vfs.KindOf(err) != vfs.NotFound {
					b.t.Fatalf("remove without space: %v", err)
				}
			}
			return
		}
		if err != nil && vfs.KindOf(err) != vfs.Unavailable || k > 100 { // leadership moves to where there is space
			b.t.Fatalf("file %d: %v", k, err)
		}
	}
}
