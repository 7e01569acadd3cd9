package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

func TestSingleNode(t *testing.T) {
	g := newGang(t, 1, nil)
	out := g.write(0, "/m/a", "hello")
	if out.Index == 0 || out.Seq == 0 || len(out.Results) != 1 || out.Results[0].N != 5 {
		t.Errorf("outcome %+v", out)
	}
	for _, l := range []vfs.Level{{}, {Linearizable: true}, {MinIndex: out.Index}} {
		if b, err := g.read(0, "/m/a", l); err != nil || string(b) != "hello" {
			t.Errorf("read at %+v: %q, %v", l, b, err)
		}
	}
	if n := g.nodes[0].Number(); n != 1 {
		t.Errorf("number is %d", n)
	}
	if url, ok := g.nodes[0].Peer(1); !ok || url != "http://api1" {
		t.Errorf("peer 1 is %q, %v", url, ok)
	}
	if _, err := Start(t.Context(), g.conf[0]); !errors.Is(err, ErrLocked) {
		t.Errorf("second start: %v", err)
	}
	g.stop(0)
	g.start(0)
	g.ready()
	if b, err := g.read(0, "/m/a", vfs.Level{Linearizable: true}); err != nil || string(b) != "hello" {
		t.Errorf("after a restart: %q, %v", b, err)
	}
}

func TestKeepSingle(t *testing.T) {
	g := newGang(t, 1, nil)
	n := g.nodes[0]
	for _, size := range []int{0, 1, vfs.MaxInline, vfs.MaxInline + 1, 64 << 10, 512<<10 + 1, vfs.ChunkSize, 3*vfs.ChunkSize + 7} {
		data := make([]byte, size)
		rand.New(rand.NewSource(int64(size))).Read(data)
		c, err := n.Keep(testContext(t), bytes.NewReader(data), 0)
		if err != nil || c.Size != int64(size) || (size <= vfs.MaxInline) != (len(c.Refs) == 0) {
			t.Fatalf("keep %d: %+v, %v", size, c.Size, err)
		}
		path := vfs.Path(fmt.Sprintf("/m/f%d", size))
		if out, err := n.Propose(testContext(t), writeOp(path, c)); err != nil || out.Err != nil {
			t.Fatalf("write %d: %v, %v", size, err, out.Err)
		}
		if b, err := g.read(0, path, vfs.Level{}); err != nil || !bytes.Equal(b, data) {
			t.Fatalf("read %d: %d bytes, %v", size, len(b), err)
		}
	}
	_, err := n.Keep(testContext(t), strings.NewReader(strings.Repeat("x", 100)), 99)
	if vfs.KindOf(err) != vfs.TooLarge {
		t.Errorf("too long: %v", err)
	}
	if used := n.chunkMem.used(); used != 0 {
		poll(t, "memory to be free", func() bool { return n.chunkMem.used() == 0 })
	}
}
