package cluster

import (
	"context"
	"math"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// levelEvery is how often a leader looks whether all members know more than the
// cluster uses.
const levelEvery = 2 * time.Second

// level returns the feature level of the cluster.
func (n *Node) level() uint64 {
	im := n.machine.Image()
	defer im.Release()
	return fsm.LevelOf(im.View)
}

// known returns the newest feature level that every member knows; 0 while one
// has not said what it does. Of this node it is at least own.
func (n *Node) known(own uint64) uint64 {
	im := n.machine.Image()
	defer im.Release()
	levels := map[string]uint64{}
	for _, m := range im.Members() {
		levels[m.ID] = m.Level
	}
	levels[n.id] = max(levels[n.id], own)
	lowest := uint64(math.MaxUint64)
	for _, s := range n.configuration().Servers {
		lowest = min(lowest, levels[string(s.ID)])
	}
	return lowest
}

// advance takes the cluster to the feature level that all members know. From
// then on none of them may go back to an older version.
func (c *clockwork) advance(ctx context.Context, now time.Time) {
	n := c.n
	from := n.level()
	if from > 0 && now.Before(c.advanced.Add(levelEvery)) { // in a new cluster, mounts wait for it
		return
	}
	c.advanced = now
	to := n.known(0)
	if to <= from || to == math.MaxUint64 {
		return
	}
	op := vfs.Op{Verb: vfs.Begin, Path: vfs.Root,
		Data: fsm.EncodeBegin(fsm.BeginSpec{Cluster: n.self.cluster(), Node: n.id, Level: to})}
	out, err := n.pack.submit(ctx, vfs.Request{Ops: []vfs.Op{op}})
	if err == nil {
		err = out.Err
	}
	if err != nil {
		n.c.Log.Warn("feature level is not raised", "level", to, "error", err)
		return
	}
	n.c.Log.Info("feature level is raised", "from", from, "level", to, "index", out.Index)
}
