package cluster

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
)

// TestVerify compares the members while they are written to, and when nothing
// happens.
func TestVerify(t *testing.T) {
	g := newGang(t, 3, nil)
	verify := func() Verification {
		v, err := g.nodes[1].Verify(testContext(t))
		if err != nil || !v.Match || !v.Complete || v.Index == 0 || len(v.Nodes) != 3 {
			t.Fatalf("%+v, %v", v, err)
		}
		for _, s := range v.Nodes {
			if s.Digest != v.Nodes[0].Digest || s.Mounts["/m"] == "" || s.Mounts["system"] == "" || s.Differs != nil {
				t.Errorf("%+v", s)
			}
		}
		return v
	}
	verify()
	if err := g.nodes[1].verifying.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := g.nodes[1].Verify(testContext(t)); vfs.KindOf(err) != vfs.Throttled { // two at once would hold twice the state
		t.Errorf("while another one is under way: %v", err)
	}
	if s := g.nodes[1].Status(testContext(t), true); s.DigestIndex != 0 || len(s.Nodes) != 3 {
		t.Errorf("%+v", s)
	}
	g.nodes[1].verifying.leave()
	var stop atomic.Bool
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				g.write(c%3, vfs.Path(fmt.Sprintf("/m/f%d", c)), fmt.Sprint(i))
			}
		})
	}
	for range 3 {
		verify()
	}
	stop.Store(true)
	wg.Wait()
	v := verify()
	s := g.nodes[2].Status(testContext(t), true)
	if s.DigestIndex < v.Index || len(s.Nodes) != 3 {
		t.Errorf("%+v", s)
	}
	for _, n := range s.Nodes {
		if n.Digest != v.Nodes[0].Digest {
			t.Errorf("%+v", n)
		}
	}
}

// TestDivergence damages the state of one node behind its back.
func TestDivergence(t *testing.T) {
	g := newGang(t, 3, nil)
	g.write(0, "/m/a", "x")
	g.sameDigest()
	im := g.nodes[2].machine.Image()
	m, _, _ := im.Table.Route("/m")
	im.Release()
	row := store.KV{Key: append(vfs.MountPrefix(m.ID), "zz"...), Value: []byte("x")}
	if err := g.nodes[2].machine.Store().Commit(nil, row); err != nil {
		t.Fatal(err)
	}
	g.write(0, "/m/b", "x") // a new image
	v, err := g.nodes[0].Verify(testContext(t))
	if err != nil || v.Match || !v.Complete {
		t.Fatalf("%+v, %v", v, err)
	}
	if got := fmt.Sprint(v.Nodes[0].Differs, v.Nodes[1].Differs, v.Nodes[2].Differs); got != "[] [] [/m]" {
		t.Error(got)
	}
	g.stop(1)
	if v, err = g.nodes[0].Verify(testContext(t)); err != nil || v.Match || v.Complete || v.Nodes[1].Error != "does not answer" {
		t.Errorf("%+v, %v", v, err)
	}
	g.wipe(2) // the way back
	g.start(1)
	g.start(2)
	g.ready()
	g.sameDigest()
}

// A member that is away is shown with the time since when, and the leader warns
// of it once.
func TestUnreachable(t *testing.T) {
	var mu sync.Mutex
	var log bytes.Buffer
	g := newGang(t, 3, func(_ int, c *Config) {
		c.warnAfter = time.Millisecond
		c.Election = 2 * time.Second // one leader warns
		c.Log = slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))
	})
	away := (g.leader() + 1) % 3
	before := time.Now()
	g.stop(away)
	warned := func() int {
		mu.Lock()
		defer mu.Unlock()
		return strings.Count(log.String(), `remove it" node=`+g.conf[away].NodeID+" ")
	}
	poll(t, "the leader to warn", func() bool { return warned() > 0 })
	for i, n := range g.nodes {
		if n == nil {
			continue
		}
		poll(t, "it to be known", func() bool {
			s := n.Status(testContext(t), false).Nodes[away]
			return s.State == "unreachable" && s.Unreachable != nil && s.Unreachable.After(before.Add(-2*contactEvery)) && s.Version == ""
		})
		if s := n.Status(testContext(t), false).Nodes[i]; s.Started == nil || s.DiskFree == 0 || s.DiskSize < s.DiskFree || s.AppendP99 <= 0 || s.Missing != 0 || s.NotReady != "" {
			t.Errorf("%+v", s)
		}
	}
	g.start(away)
	g.ready()
	poll(t, "it to be there again", func() bool {
		s := g.nodes[(away+1)%3].Status(testContext(t), false).Nodes[away]
		return s.State == "follower" && s.Unreachable == nil
	})
	if warned() != 1 {
		t.Errorf("warned %d times", warned())
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  *bytes.Buffer
}

func (l lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
