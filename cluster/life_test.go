package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/blob"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/secret"
	"github.com/pfs-project/pfs/test/ports"
	"github.com/pfs-project/pfs/vfs"
)

// TestLaterNodeJoins lets a voter and a read replica join one node.
func TestLaterNodeJoins(t *testing.T) {
	g := newGang(t, 1, nil)
	g.write(0, "/m/a", "before")
	for i, addr := range ports.Free(t, 2) {
		c := g.conf[0]
		c.NodeID, c.Address, c.Dir = fmt.Sprintf("n%d", i+2), addr, filepath.Join(t.TempDir(), "data")
		c.HTTP, c.Join, c.NonVoter = "http://later", []string{g.conf[0].Address, addr}, i == 1
		g.wires.own(addr, i+1)
		c.dial = g.wires.dialFrom(i + 1)
		g.conf = append(g.conf, c)
		g.nodes = append(g.nodes, nil)
		g.start(i + 1)
	}
	g.ready()
	poll(t, "the roles", func() bool {
		s := g.nodes[2].Status(testContext(t), false)
		return len(s.Nodes) == 3 && s.Nodes[1].Role == "voter" && s.Nodes[2].Role == "non-voter"
	})
	g.write(2, "/m/b", "after")
	for i := range g.nodes {
		if b, err := g.read(i, "/m/a", vfs.Level{Linearizable: true}); err != nil || string(b) != "before" {
			t.Errorf("node %d: %q, %v", i, b, err)
		}
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	g.keep(2, data) // at a node that does not vote
	g.sameDigest()
}

// TestSnapshotCatchesUp leaves a node behind what the log still has, with
// content that it has never heard of.
func TestSnapshotCatchesUp(t *testing.T) {
	for _, log := range []string{"bolt", "pebble"} {
		t.Run(log, func(t *testing.T) {
			g := newGang(t, 3, func(_ int, c *Config) { c.LogStore, c.trailing = log, 3 })
			g.write(0, "/m/a", "before")
			l := g.leader()
			away := (l + 1) % 3
			g.stop(away)
			c := g.keep(l, make([]byte, 100<<10))
			g.propose(l, writeOp("/m/big", c))
			for i := range 20 {
				g.write(l, vfs.Path(fmt.Sprintf("/m/f%d", i)), fmt.Sprint(i))
			}
			for i, n := range g.nodes {
				if i != away {
					poll(t, "all to be applied", func() bool { return n.machine.Applied() >= g.nodes[l].machine.Applied() })
					if err := n.raft.Snapshot().Error(); err != nil {
						t.Fatal(err)
					}
				}
			}
			first, err := g.nodes[l].logs.FirstIndex()
			if err != nil || first < 10 {
				t.Fatalf("the log begins at %d, %v", first, err)
			}
			g.start(away)
			g.ready()
			g.write(away, "/m/after", "x")
			if b, err := g.read(away, "/m/f19", vfs.Level{}); err != nil || string(b) != "19" {
				t.Errorf("%q, %v", b, err)
			}
			poll(t, "the chunk", func() bool { return g.nodes[away].blobs.Has(c.Refs[0].Hash) })
			g.sameDigest()
			g.stop(away)
			g.start(away)
			g.ready()
			g.sameDigest()
		})
	}
}

// TestPromiseHolds has a node restart between its promise and the start.
func TestPromiseHolds(t *testing.T) {
	g := newGang(t, 1, nil)
	g.stop(0)
	c := g.conf[0]
	c.Dir = filepath.Join(t.TempDir(), "new")
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(card{Node: "n1", Cluster: "promised", Key: secret.NewKey().Text(), Forming: []server{{"n1", c.Address}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, identityFile), b, 0o600); err != nil {
		t.Fatal(err)
	}
	g.conf[0] = c
	g.start(0)
	g.ready()
	im, err := g.nodes[0].Image(t.Context(), vfs.Level{Linearizable: true})
	if err != nil {
		t.Fatal(err)
	}
	defer im.Release()
	if im.ClusterID() != "promised" || g.nodes[0].self.card().Forming != nil {
		t.Errorf("cluster %q, %+v", im.ClusterID(), g.nodes[0].self.card())
	}
	if err := g.nodes[0].self.promise("another", secret.NewKey().Text(), nil); err == nil {
		t.Error("a second promise")
	}
}

// TestFormsOnce starts nodes at different times: they must end in one cluster,
// which waits for all.
func TestFormsOnce(t *testing.T) {
	g := newGang(t, 1, nil)
	g.stop(0)
	addrs := ports.Free(t, 3)
	g.conf, g.nodes = nil, make([]*Node, 3)
	for i := range 3 {
		c := Config{NodeID: fmt.Sprintf("n%d", i+1), Dir: filepath.Join(t.TempDir(), "data"), Address: addrs[i],
			Expect: 3, Join: addrs, Plugins: nil, dial: g.wires.dialFrom(i), Election: 150 * time.Millisecond,
			Fatal: func(err error) { t.Error(err) }}
		g.wires.own(addrs[i], i)
		g.conf = append(g.conf, c)
	}
	g.start(2)
	g.start(0)
	poll(t, "two to see each other", func() bool {
		p, q := g.nodes[0].sees.Load(), g.nodes[2].sees.Load()
		return p != nil && q != nil && len(*p) == 2 && len(*q) == 2
	})
	if g.nodes[0].self.cluster() != "" || g.nodes[2].self.cluster() != "" {
		t.Fatal("a cluster of two of three")
	}
	g.start(1)
	g.ready()
	for _, n := range g.nodes[1:] {
		if id := n.self.cluster(); id == "" || id != g.nodes[0].self.cluster() {
			t.Errorf("%s is in cluster %q", n.ID(), id)
		}
	}
}

// TestNoClusterBeside has a node that may begin a cluster alone meet others that
// have not looked for each other yet, and that have promised to be in a cluster:
// it waits for theirs.
func TestNoClusterBeside(t *testing.T) {
	g := newGang(t, 1, nil)
	g.stop(0)
	addrs := ports.Free(t, 2)
	g.conf, g.nodes = nil, make([]*Node, 2)
	for i, expect := range []int{2, 1} {
		c := Config{NodeID: fmt.Sprintf("n%d", i+1), Dir: filepath.Join(t.TempDir(), "data"), Address: addrs[i],
			Expect: expect, Join: addrs, dial: g.wires.dialFrom(i), Election: 150 * time.Millisecond,
			Fatal: func(err error) { t.Error(err) }}
		g.wires.own(addrs[i], i)
		g.conf = append(g.conf, c)
	}
	blind := make(chan struct{})
	g.conf[0].dial = func(ctx context.Context, _ string) (net.Conn, error) {
		select {
		case <-blind:
		case <-ctx.Done():
		}
		return nil, net.ErrClosed
	}
	g.start(0)
	g.start(1)
	alone := func(what string) {
		t.Helper()
		holds(t, "n2 waits for a node "+what, time.Second, func() bool { return g.nodes[1].self.cluster() == "" })
	}
	poll(t, "n2 to look", func() bool { return g.nodes[1].sees.Load() != nil })
	alone("that cannot tell yet")
	if err := g.nodes[0].self.promise("other", secret.NewKey().Text(), nil); err != nil {
		t.Fatal(err)
	}
	close(blind)
	alone("that is to be in a cluster")
}

// TestStages sends an upload whose references go old while it is under way.
func TestStages(t *testing.T) {
	g := newGang(t, 3, func(_ int, c *Config) { c.ChunkGrace = 2 * time.Second })
	n := g.nodes[0]
	data := make([]byte, 4*vfs.ChunkSize+5)
	rand.New(rand.NewSource(3)).Read(data)
	r, w := io.Pipe()
	go func() {
		defer w.Close()
		for part := data; len(part) > 0; part = part[min(len(part), vfs.ChunkSize):] {
			before := stagedRefs(n)
			if _, err := w.Write(part[:min(len(part), vfs.ChunkSize)]); err != nil {
				t.Error(err)
			}
			if len(part) > 3*vfs.ChunkSize {
				poll(t, "a Stage", func() bool { return stagedRefs(n) > before })
			}
		}
	}()
	c, err := n.Keep(testContext(t), r, 0)
	if err != nil || c.Upload == 0 || len(c.Refs) == 5 {
		t.Fatalf("keep: upload %d, %d refs, %v", c.Upload, len(c.Refs), err)
	}
	out := g.propose(0, writeOp("/m/staged", c))
	if b, err := g.read(2, "/m/staged", vfs.Level{MinIndex: out.Index}); err != nil || !bytes.Equal(b, data) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	g.sameDigest()
}

// stagedRefs counts the chunks that the state counts.
func stagedRefs(n *Node) (count int) {
	im := n.machine.Image()
	defer im.Release()
	for range fsm.Chunks(im.View) {
		count++
	}
	return count
}

// TestLostUploadIsNotFinished has the beginning of an upload dropped.
func TestLostUploadIsNotFinished(t *testing.T) {
	g := newGang(t, 1, nil)
	ref := vfs.ChunkRef{Hash: [32]byte{1}, Len: 5}
	for _, s := range []struct {
		off int64
		ok  bool
	}{{0, true}, {1, true}, {3, false}} {
		op := vfs.Op{Verb: vfs.Stage, File: 7, Off: s.off, Refs: []vfs.ChunkRef{ref}}
		out, err := g.nodes[0].Propose(t.Context(), vfs.Request{Ops: []vfs.Op{op}})
		if err != nil || (out.Err == nil) != s.ok {
			t.Errorf("stage at %d: %v, %v", s.off, err, out.Err)
		}
	}
}

// TestForgetsChunks removes a file: the log forgets its chunks after the grace
// period.
func TestForgetsChunks(t *testing.T) {
	g := newGang(t, 1, func(_ int, c *Config) { c.ChunkGrace = time.Second })
	n := g.nodes[0]
	g.propose(0, writeOp("/m/a", g.keep(0, make([]byte, 100<<10))))
	hash := blob.Sum(make([]byte, 100<<10))
	if !n.machine.Counted(hash) {
		t.Fatal("not counted")
	}
	out, err := n.Propose(testContext(t), vfs.Request{Ops: []vfs.Op{{Verb: vfs.Remove, Path: "/m/a"}}})
	if err != nil || out.Err != nil {
		t.Fatal(err, out.Err)
	}
	poll(t, "the chunk to be forgotten", func() bool { return !n.machine.Counted(hash) })
	if !n.blobs.Has(hash) {
		t.Error("its file is gone before the least time for orphans")
	}
}

// TestDamagedChunkHeals flips a byte of a chunk of one node.
func TestDamagedChunkHeals(t *testing.T) {
	g := newGang(t, 3, nil)
	data := bytes.Repeat([]byte("heal"), 100<<10)
	c := g.keep(0, data)
	g.propose(0, writeOp("/m/a", c))
	hash := c.Refs[0].Hash
	name := fmt.Sprintf("%x", hash[:])
	file := filepath.Join(g.conf[0].Dir, blobDir, name[:2], name)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.nodes[0].blobs.Verify(hash); !errors.Is(err, blob.ErrCorrupt) {
		t.Fatalf("verify: %v", err)
	}
	if b, err := g.read(0, "/m/a", vfs.Level{}); err != nil || !bytes.Equal(b, data) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if err := g.nodes[0].blobs.Verify(hash); err != nil {
		t.Errorf("after the read: %v", err)
	}
}

// TestClockwork has a lease of a queue run out, which only the leader's clock
// can bring about.
func TestClockwork(t *testing.T) {
	g := newGang(t, 3, func(_ int, c *Config) {
		c.Mounts = append(c.Mounts, fsm.FileMount{Path: "/tick", Type: "tickfs"})
		c.Plugins = append(c.Plugins, tickPlugin())
	})
	poll(t, "the clock to have struck on all nodes", func() bool {
		for i := range g.nodes {
			if b, err := g.read(i, "/tick/count", vfs.Level{}); err != nil || string(b) != "3" {
				return false
			}
		}
		return true
	})
	g.sameDigest()
}

func TestBounds(t *testing.T) {
	g := newGang(t, 1, nil)
	n := g.nodes[0]
	big := vfs.Op{Verb: vfs.Write, Path: "/m/a", Flag: vfs.FlagCreate, Data: make([]byte, vfs.MaxInline)}
	for name, r := range map[string]vfs.Request{
		"inline": {Ops: []vfs.Op{{Verb: vfs.Write, Path: "/m/a", Data: make([]byte, vfs.MaxInline+1)}}},
		"entry":  {Ops: []vfs.Op{big, big, big, big, big, big, big, big, big, big, big, big, big, big, big, big}},
	} {
		if _, err := n.Propose(t.Context(), r); vfs.KindOf(err) != vfs.TooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out, err := n.Propose(t.Context(), vfs.Request{Ops: []vfs.Op{big}}); err != nil || out.Err != nil {
		t.Errorf("largest inline: %v, %v", err, out.Err)
	}
	if _, err := n.Image(t.Context(), vfs.Level{MinIndex: 1 << 40, Wait: 20 * time.Millisecond}); vfs.KindOf(err) != vfs.Timeout {
		t.Errorf("an index that will not come: %v", err)
	}
	if _, err := n.Keep(t.Context(), io.MultiReader(strings.NewReader("abc"), broken{}), 0); vfs.KindOf(err) != vfs.Invalid {
		t.Errorf("body that breaks: %v", err)
	}
	if _, err := n.Keep(t.Context(), io.MultiReader(bytes.NewReader(make([]byte, 5<<20)), broken{}), 0); vfs.KindOf(err) != vfs.Invalid {
		t.Errorf("long body that breaks: %v", err)
	}
	p := &packer{n: n}
	for range maxQueued {
		p.queue = append(p.queue, &ticket{})
	}
	if err := p.push(&ticket{}); vfs.KindOf(err) != vfs.Throttled {
		t.Errorf("full queue: %v", err)
	}
	if n.raft.State() != raft.Leader {
		t.Error("it does not lead")
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }
