package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/test/memdisk"
	"github.com/pfs-project/pfs/vfs"
)

// cutTrio is a cluster of three, of which the third loses its power.
type cutTrio struct {
	cutRig
	others []*Node
	disk   *memdisk.Disk // of the third, which is down
}

func newCutTrio(t *testing.T, seed uint64) *cutTrio {
	g := &cutTrio{cutRig: cutRig{t: t, r: rand.New(rand.NewPCG(seed, 1)), net: newSimNet()}, disk: memdisk.New()}
	var err error
	for i, d := range []*memdisk.Disk{memdisk.New(), memdisk.New(), g.disk} {
		n, e := g.start(i, 3, d, func(err error) { t.Error(err) })
		if err = errors.Join(err, e); e == nil {
			g.others = append(g.others, n)
		}
	}
	for _, n := range g.others {
		err = errors.Join(err, g.ready(n))
	}
	if err == nil {
		err = g.others[2].Stop(context.Background())
		g.others = g.others[:2]
	}
	if err != nil {
		g.stop()
		t.Fatal(err)
	}
	return g
}

func (g *cutTrio) stop() {
	for _, n := range g.others {
		if err := n.Stop(context.Background()); err != nil {
			g.t.Error(err)
		}
	}
}

// outrun has the others write so much that the third needs a snapshot. It
// returns the last index.
func (g *cutTrio) outrun(round int) (last uint64) {
	for k := range 12 {
		r := writeOp(vfs.Path(fmt.Sprint("/m/f", k%7)), vfs.Content{Data: fmt.Append(nil, round, " ", k)})
		r.Key = "" // answers to keys would make the state long
		out, err := g.others[k%2].Propose(context.Background(), r)
		if err = errors.Join(err, out.Err); err != nil {
			g.t.Error(err)
		}
		last = out.Index
	}
	for _, n := range g.others {
		_ = n.raft.Snapshot().Error() // raft may find that there is nothing new
	}
	return last
}

// install starts the third node and takes its power before one of the calls
// that change its disk. It returns before which; "" if the node had caught up
// before that.
func (g *cutTrio) install(last uint64) (where string) {
	left, off, d := g.r.IntN(200), make(chan struct{}), g.disk
	var after *memdisk.Disk
	d.Fault = func(k memdisk.Kind, name string) error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if left--; left == -1 {
			g.net.power(2, false, false)
			keep := []int{0, 0, 10, 50, 90, 100}[g.r.IntN(6)]
			after, where = d.Cut(keep, g.r), fmt.Sprintf("cut before %s %s, %d%% kept", k, name, keep)
			close(off)
		}
		return nil
	}
	n, err := g.start(2, 3, d, func(error) {}) // it may be without power already
	for done := err != nil; !done; {
		select {
		case <-off:
			done = true
		case <-time.After(100 * time.Millisecond):
			done = n.Ready() == nil && n.machine.Applied() >= last
		}
	}
	if err == nil {
		_ = n.Stop(context.Background()) // it may have lost its power
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if where == "" {
		g.disk = d.Copy()
		return ""
	}
	g.disk = after
	return where
}

// follow starts the third node and waits until it has what the others have.
func (g *cutTrio) follow(last uint64, where string) {
	g.net.power(2, true, false)
	n, err := g.start(2, 3, g.disk, func(err error) { g.t.Errorf("%s: %v", where, err) })
	if err != nil {
		g.t.Errorf("%s: %v", where, err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var got, want fsm.Sums
	for ctx.Err() == nil {
		err = errors.Join(g.ready(n), n.machine.Wait(ctx, last))
		sums, err1 := n.Sums(ctx, 0)
		other, err2 := g.others[0].Sums(ctx, 0)
		got, want, err = sums, other, errors.Join(err, err1, err2)
		if err == nil && got.State == want.State && got.Own == want.Own {
			break
		}
		simPause(time.Second) // entries that are not for the state show in some indexes only
	}
	if err != nil || got.State != want.State || got.Own != want.Own {
		g.t.Errorf("%s: the state is %.8x at %d, elsewhere %.8x at %d: %v", where, got.State, got.Index, want.State, want.Index, err)
	}
	if err := n.Stop(context.Background()); err != nil {
		g.t.Errorf("%s: %v", where, err)
	}
	g.disk = g.disk.Copy()
}

// TestPowerCutsOfAnInstall takes the power of a node while it fetches and
// installs a snapshot of another. Whatever is left must get there in the end.
func TestPowerCutsOfAnInstall(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	seen, total := map[string]int{}, 0
	synctest.Test(t, func(t *testing.T) {
		g := newCutTrio(t, seed)
		defer g.stop()
		for round := 0; (total < cuts()/40 || seen["install"] == 0 && total < cuts()) && !t.Failed(); round++ {
			last := g.outrun(round)
			where := g.install(last)
			if where == "" {
				continue
			}
			g.follow(last, where)
			total++
			for _, part := range []string{"install", "state", "raft", "blobs"} {
				if strings.Contains(where, part) {
					seen[part]++
				}
			}
		}
	})
	t.Logf("seed %d: %d power cuts, by what the node was about to change: %v", seed, total, seen)
	if seen["install"] == 0 {
		t.Error("no cut came while a snapshot was installed: the test proves nothing")
	}
}
