package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

const (
	relieveEvery = time.Second            // between two looks of a leader at the disks of all
	relieveTime  = 500 * time.Millisecond // for their answers
)

// frees are the verbs that a cluster without space still takes: those that
// give space back, and those that keep it going.
const frees = vfs.VerbSet(1<<vfs.Remove | 1<<vfs.RemoveAll | 1<<vfs.Truncate | 1<<vfs.Unmount | 1<<vfs.Consume |
	1<<vfs.Reap | 1<<vfs.Member | 1<<vfs.Sweep | 1<<vfs.Begin |
	1<<vfs.Restore | 1<<vfs.Saved)

var errNoSpace = vfs.NoSpace.With("too little space is left on the disks of the cluster: remove files, or make room on the disks")

var errNoSpaceHere = vfs.NoSpace.With("too little space is left on the disk of this node: remove files, make room on the disk, or ask another node")

// admit refuses on the leader what would take space that a quorum does not
// have, and all writes during a restore. A repeat under a known key takes no
// space.
func (n *Node) admit(r vfs.Request) error {
	if n.machine.Loading() { // the fold would refuse it, and take a log entry for that
		for i := range r.Ops {
			if !fsm.WhileLoading(r.Ops[i].Verb) {
				return errLoading
			}
		}
	}
	if !n.crammed.Load() && !(n.vol.Full() && len(n.voters()) < 2) {
		return nil
	}
	for i := range r.Ops {
		if !frees.Has(r.Ops[i].Verb) && !n.frees(&r.Ops[i]) {
			if r.Key != "" && n.answered(r.Key) {
				return nil
			}
			return errNoSpace
		}
	}
	return nil
}

// frees reports whether a Write gives space back, as the filesystem knows.
func (n *Node) frees(op *vfs.Op) bool {
	if op.Verb != vfs.Write || op.File != 0 {
		return false
	}
	im := n.machine.Image()
	defer im.Release()
	m, rel, ok := im.Table.Route(op.Path)
	f, can := m.FS.(vfs.Freer)
	return ok && can && f.Frees(rel)
}

// answered reports whether the state remembers the outcome of a key.
func (n *Node) answered(key string) bool {
	im := n.machine.Image()
	defer im.Release()
	return im.Remembers(key)
}

// relieve is what a leader does about disks that are full or stand still, until
// ctx is done: if it is its own, it hands leadership over; if a quorum has no
// space, it refuses what takes some.
func (n *Node) relieve(ctx context.Context) {
	defer n.crammed.Store(false)
	for {
		voters := n.voters()
		full, fit := n.disks(ctx, voters)
		own := n.vol.Full()
		if own {
			full++
		}
		crammed := len(voters)-full < len(voters)/2+1
		if !crammed && (own || n.stalled()) {
			crammed = !n.giveWay(ctx, fit) && own
		}
		if n.crammed.Swap(crammed) != crammed && ctx.Err() == nil {
			n.c.Log.Warn("space of the cluster", "full", full, "voters", len(voters), "refusing", crammed)
		}
		if !pause(ctx, relieveEvery) {
			return
		}
	}
}

// disks asks the other voters: how many of them have no space, and which one
// that has could lead; "" for none.
func (n *Node) disks(ctx context.Context, voters []string) (full int, fit string) {
	ctx, cancel := context.WithTimeout(ctx, relieveTime)
	defer cancel()
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	for _, id := range voters {
		if id == n.id {
			continue
		}
		wg.Go(func() {
			s, ok := n.callState(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			commit := n.raft.CommitIndex()
			switch {
			case !ok: // it is away, which is another matter
			case s.Full:
				full++
			case s.Stalled:
			case commit-min(commit, s.Applied) < maxLag:
				fit = id
			}
		})
	}
	wg.Wait()
	return full, fit
}

// giveWay hands leadership to a node whose disk is well, if there is one. It
// reports whether that was done.
func (n *Node) giveWay(ctx context.Context, id string) bool {
	to, ok := n.book.find(id)
	if !ok {
		return false
	}
	n.c.Log.Warn("the disk is full or stands still: another node is to lead", "node", id)
	err := n.handOver(ctx, id)
	if err != nil && n.stalled() { // what is under way will not end
		err = n.raft.LeadershipTransferToServer(raft.ServerID(id), raft.ServerAddress(to.address)).Error()
	}
	if err != nil {
		n.c.Log.Warn("leadership is not handed over", "error", err)
	}
	return err == nil
}
