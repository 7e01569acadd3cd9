package cluster

import (
	"context"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

const (
	tick       = 100 * time.Millisecond // of the leader's clockwork
	maxOps     = 64                     // that a mount's clock may bring in one turn
	uploadLife = 6                      // grace periods without a Stage
	sweepEvery = 30 * time.Second       // at most, between two looks for chunks at zero
)

// clockwork is what a leader does as time goes by: it asks the mounts what is
// due, and has chunks forgotten that nothing refers to.
type clockwork struct {
	n        *Node
	index    uint64               // of the state that the mounts saw last
	next     map[uint64]time.Time // by mount: when to ask again without a change
	sweep    time.Time
	advanced time.Time // when the members' feature levels were looked at
	load     watchedLoad
	mover    mover
}

func newClockwork(n *Node) *clockwork {
	return &clockwork{n: n, next: map[uint64]time.Time{}, mover: mover{began: time.Now()}}
}

// turn does what is due. It proposes one Event for each Op, so that one that
// fails stops no other.
func (c *clockwork) turn(ctx context.Context) {
	c.watchLoad(ctx)
	now := c.n.pack.stamp()
	if now.After(c.sweep) {
		c.forget(ctx, now)
	}
	c.advance(ctx, now)
	c.moveMounts(ctx, now)
	changed := c.n.machine.Applied() != c.index
	if !changed && !c.anyDue(now) {
		return
	}
	im := c.n.machine.Image()
	ops := c.due(im, now)
	c.index = im.Index
	im.Release()
	c.n.proposeAll(ctx, ops)
}

func (c *clockwork) anyDue(now time.Time) bool {
	for _, t := range c.next {
		if !t.After(now) {
			return true
		}
	}
	return false
}

// due asks every mount that has a clock.
func (c *clockwork) due(im *fsm.Image, now time.Time) []vfs.Op {
	var out []vfs.Op
	changed, next := im.Index != c.index, map[uint64]time.Time{}
	for _, m := range im.Table.Mounts() {
		clock, ok := m.FS.(vfs.Timer)
		if !ok {
			continue
		}
		if at, waits := c.next[m.ID]; !changed && (!waits || at.After(now)) {
			if waits {
				next[m.ID] = at
			}
			continue
		}
		ops, at := clock.Due(vfs.Sub(im.View, vfs.MountPrefix(m.ID)), now)
		if len(ops) > maxOps {
			ops, at = ops[:maxOps], now
		}
		for _, op := range ops {
			op.Mount, op.Path = m.ID, m.Path.Join(op.Path)
			if op.To != "" {
				op.To = m.Path.Join(op.To)
			}
			out = append(out, op)
		}
		if !at.IsZero() {
			next[m.ID] = at
		}
	}
	c.next = next
	return out
}

// proposeAll proposes Ops as Events of their own, at once, and waits. What
// fails is due again at the next turn.
func (n *Node) proposeAll(ctx context.Context, ops []vfs.Op) {
	done := make(chan struct{}, len(ops))
	for _, op := range ops {
		go func() { // waited for below
			defer func() { done <- struct{}{} }()
			out, err := n.pack.submit(ctx, vfs.Request{Ops: []vfs.Op{op}})
			if err == nil {
				err = out.Err
			}
			if err != nil && ctx.Err() == nil {
				n.c.Log.Debug("timed operation failed", "path", string(op.Path), "error", err)
			}
		}()
	}
	for range ops {
		<-done
	}
}

// forget proposes Sweeps while there are chunks at zero, or uploads without
// progress, for longer than the grace period.
func (c *clockwork) forget(ctx context.Context, now time.Time) {
	grace := c.n.c.ChunkGrace
	c.sweep = now.Add(min(sweepEvery, max(grace/4, tick)))
	spec := fsm.SweepSpec{Chunks: now.Add(-grace), Uploads: now.Add(-uploadLife * grace)}
	im := c.n.machine.Image()
	idle := len(fsm.ZeroChunks(im.View, spec.Chunks, 1)) == 0 && !fsm.StaleUpload(im.View, spec.Uploads)
	im.Release()
	if idle {
		return
	}
	op := vfs.Op{Verb: vfs.Sweep, Path: vfs.Root, Data: fsm.EncodeSweep(spec)}
	for ctx.Err() == nil {
		out, err := c.n.pack.submit(ctx, vfs.Request{Ops: []vfs.Op{op}})
		if err != nil || out.Err != nil || len(out.Results) == 0 || out.Results[0].N == 0 {
			return
		}
	}
}
