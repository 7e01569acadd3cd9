package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	pulseEvery = 2 * time.Second
	// pulseLate is how long a turn may take: longer than a disk may hang
	// before the node gives up by itself.
	pulseLate = 30 * time.Second
)

// beat proves every now and then that what the node turns on does turn: raft's
// loop takes a question, and the locks of the queue and the state are free. It
// asks for no quorum: a node that is cut off is alive.
func (n *Node) beat(ctx context.Context) {
	for pause(ctx, pulseEvery) {
		// Raft leaves a question without an answer if it is shut down meanwhile.
		if n.pack.out.enter() != nil {
			return
		}
		_ = n.raft.VerifyLeader().Error() // any answer will do
		n.pack.out.leave()
		n.pack.queued()
		n.machine.Applied()
		n.pulse.Store(time.Now().UnixNano())
	}
}

// Alive returns nil as long as the node's loops turn, whether or not it knows
// a leader. While a snapshot is installed raft's loop stands still; that is
// alive too. After an error only a new start helps.
func (n *Node) Alive() error {
	if err := n.Failed(); err != nil {
		return fmt.Errorf("node cannot go on: %w", err)
	}
	late := time.Since(time.Unix(0, n.pulse.Load()))
	if late > pulseLate && !n.net.installing.Load() {
		return fmt.Errorf("the event loop has not turned for %s", late.Truncate(time.Second))
	}
	return nil
}

// Serves returns nil when the node knows a leader, has applied all but the last
// thousand entries that it knows to be committed and all that was acknowledged before
// it was started, has a number, and has asked for its configured mounts once since it
// started. It says nothing of how they fare, which may hang on what is outside of this
// node.
func (n *Node) Serves() error {
	if err := n.serves(); err != nil {
		return err
	}
	select {
	case <-n.fresh:
		return nil
	default:
		return errors.New("not yet caught up with what was acknowledged before it was started")
	}
}

// serves is Serves of a node that has caught up since it was started.
func (n *Node) serves() error {
	if err := n.Failed(); err != nil {
		return fmt.Errorf("node cannot go on: %w", err)
	}
	if n.removed.Load() {
		return errRemoved
	}
	if _, id := n.raft.LeaderWithID(); id == "" {
		return errors.New("no leader is known")
	}
	if n.machine.Loading() {
		return errLoading
	}
	if lag := n.lag(); lag > maxLag {
		return fmt.Errorf("%d entries behind", lag)
	}
	if n.number.Load() == 0 {
		return errors.New("not introduced to the cluster yet")
	}
	return n.mounts.asked()
}
