package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pfs-project/pfs/blob"
	"github.com/pfs-project/pfs/store"
)

const (
	// minOrphan is how long a chunk that the state has never heard of is kept
	// at least: the Event that names it may still be on its way.
	minOrphan = 15 * time.Second
	maxSweep  = time.Minute // between two sweeps
	scrubPass = 7 * 24 * time.Hour
	scrubWait = 10 * time.Second
	scrubMin  = 50 * time.Millisecond
)

// sweepFiles removes the chunks of this node that the state does not count and
// nobody has touched for a while.
func (n *Node) sweepFiles(ctx context.Context) {
	orphan := max(n.c.ChunkGrace, minOrphan)
	for pause(ctx, min(maxSweep, max(n.c.ChunkGrace/2, 100*time.Millisecond))) {
		// A node that lags does not know yet what is referred to.
		if _, known := n.raft.LeaderWithID(); known == "" || n.lag() > 0 {
			continue
		}
		removed, err := n.blobs.Sweep(ctx, n.wanted, orphan)
		n.metrics.swept.Add(float64(removed))
		if err != nil && ctx.Err() == nil {
			n.c.Log.Warn("chunks are not swept", "error", err)
		}
	}
}

// wanted reports whether this node must keep a chunk.
func (n *Node) wanted(hash [32]byte) bool { return n.machine.Counted(hash) || n.saves.want(hash) }

// scrubState reads all of the state's files again and again, slowly. Damage
// ends the node before it can answer from it or hand it on.
func (n *Node) scrubState(ctx context.Context) {
	for pause(ctx, scrubWait) {
		err := n.machine.Verify(ctx, func(tables int) bool {
			return pause(ctx, min(scrubWait, max(scrubMin, scrubPass/time.Duration(tables+1))))
		})
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, store.ErrCorrupt):
			n.fail(fmt.Errorf("scrub of the state: %w", err))
			return
		case err != nil:
			n.c.Log.Warn("the state cannot be scrubbed", "error", err)
		}
	}
}

// scrub reads all chunks again and again, slowly; a damaged one is fetched.
func (n *Node) scrub(ctx context.Context) {
	for pause(ctx, scrubWait) {
		count, _ := n.blobs.Stats()
		gap := min(scrubWait, max(scrubMin, scrubPass/time.Duration(count+1)))
		for hash, err := range n.blobs.List {
			if err != nil {
				n.c.Log.Warn("chunks cannot be listed", "error", err)
				break
			}
			if !pause(ctx, gap) {
				return
			}
			if err := n.blobs.Verify(hash); errors.Is(err, blob.ErrCorrupt) {
				n.metrics.damaged.Inc()
				n.c.Log.Error("chunk is damaged", "hash", fmt.Sprintf("%x", hash[:8]))
				n.missing.add([][32]byte{hash})
			}
		}
	}
}
