package cluster

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// Three nodes with queues are upgraded to the version that has leases, one by
// one. Messages come and go meanwhile, all nodes have one state, and once the
// last node has the version what is left can be taken under a lease.
func TestQueuesAreUpgraded(t *testing.T) {
	const before = 2
	g := newGang(t, 3, func(_ int, c *Config) { c.level = before })
	atLevel := func(want uint64) {
		t.Helper()
		poll(t, "the feature level", func() bool {
			for _, n := range g.nodes {
				if n.level() != want {
					return false
				}
			}
			return true
		})
	}
	tries := 0
	do := func(i int, op vfs.Op) (r vfs.Result, err error) {
		t.Helper()
		tries++
		poll(t, "an outcome", func() bool {
			var out vfs.Outcome
			out, err = g.nodes[i].Propose(testContext(t), vfs.Request{Key: fmt.Sprint("q", tries), Ops: []vfs.Op{op}})
			decided := err == nil
			if err = errors.Join(err, out.Err); err == nil {
				r = out.Results[0]
			}
			return decided
		})
		return r, err
	}
	must := func(i int, op vfs.Op) vfs.Result {
		t.Helper()
		r, err := do(i, op)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	atLevel(before)
	must(0, vfs.Op{Verb: vfs.Mount, Path: "/q", Data: fsm.EncodeMount(fsm.MountSpec{Type: "queuefs", Doc: "x"})})
	sent, taken := 0, 0
	work := func(i int) {
		t.Helper()
		for range 20 {
			sent++
			must(i, vfs.Op{Verb: vfs.Write, Path: "/q/jobs/enqueue", Data: fmt.Append(nil, "m", sent)})
		}
		for range 15 {
			if r := must((i+1)%3, vfs.Op{Verb: vfs.Consume, Path: "/q/jobs/dequeue"}); len(r.Data) > 0 {
				taken++
			}
		}
		g.sameDigest()
	}
	work(0)
	for i := range g.conf {
		g.stop(i)
		g.conf[i].level = fsm.Level
		g.start(i)
		g.ready()
		work(i)
		if _, err := do(i, vfs.Op{Verb: vfs.Consume, Path: "/q/jobs/take"}); i < 2 && vfs.KindOf(err) != vfs.NotFound {
			t.Errorf("with %d of 3 nodes upgraded: take: %v", i+1, err)
		}
	}
	atLevel(fsm.Level)
	for {
		r := must(taken%3, vfs.Op{Verb: vfs.Consume, Path: "/q/jobs/take", Target: "max=1\nlease=12h"})
		if len(r.Data) < 10 { // an empty array
			break
		}
		taken++
	}
	if taken > sent || taken < sent-1 { // one more take may have come after the level
		t.Errorf("%d messages of %d came", taken, sent)
	}
	g.sameDigest()
}
