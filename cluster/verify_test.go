package cluster

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
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
		v := g.compared(1)
		if !v.Match || v.Index == 0 || len(v.Nodes) != 3 {
			t.Fatalf("%+v", v)
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
	poll(t, "a status that tells the same", func() bool { // somebody may have been asked too late
		v := verify()
		s := g.nodes[2].Status(testContext(t), true)
		if len(s.Nodes) != 3 {
			t.Fatalf("%+v", s)
		}
		return s.DigestIndex >= v.Index && !slices.ContainsFunc(s.Nodes, func(n NodeStatus) bool { return n.Digest != v.Nodes[0].Digest })
	})
}

// compared is what node i finds out about all, once all have answered in time.
func (g *gang) compared(i int) (v Verification) {
	g.t.Helper()
	poll(g.t, "all to be compared", func() bool {
		err := insist(g.nodes[i], func() (err error) {
			v, err = g.nodes[i].Verify(testContext(g.t))
			return err
		})
		if err != nil {
			g.t.Fatal(err)
		}
		return v.Complete
	})
	return v
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
	v := g.compared(0)
	if v.Match {
		t.Fatalf("%+v", v)
	}
	if got := fmt.Sprint(v.Nodes[0].Differs, v.Nodes[1].Differs, v.Nodes[2].Differs); got != "[] [] [/m]" {
		t.Error(got)
	}
	g.stop(1)
	poll(t, "the two that are left to differ", func() bool {
		v, err := g.nodes[0].Verify(testContext(t))
		if err == nil && v.Complete {
			t.Fatalf("%+v", v)
		}
		return err == nil && !v.Match && v.Nodes[1].Error == "does not answer"
	})
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
		c.Election = unshaken // one leader warns
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
			return s.State == "unreachable" && s.Unreachable != nil && s.Unreachable.After(before.Add(-10*contactEvery)) && s.Version == ""
		})
		s := n.Status(testContext(t), false).Nodes[i]
		if s.NotReady != "" { // for a moment, perhaps
			g.ready()
			s = n.Status(testContext(t), false).Nodes[i]
		}
		if s.Started == nil || s.DiskFree == 0 || s.DiskSize < s.DiskFree || s.AppendP99 <= 0 || s.Missing != 0 || s.NotReady != "" {
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
