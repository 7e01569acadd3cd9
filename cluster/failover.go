package cluster

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// A mount that may live on any node is moved when its own has not been heard for
// moveAfter. By then that node has ended it: it has done so holdTime after it heard
// of a leader last, and takes no call from then on. The span between is for what
// the two clocks and the last answer may differ by.
const (
	holdTime  = 4 * time.Second
	moveAfter = 10 * time.Second
	holdLook  = 250 * time.Millisecond
	moveRetry = 5 * time.Second // after no node was found for a mount
	holdPart  = 8               // times the time in which an election starts, if that is longer
)

func (n *Node) holdTime() time.Duration { return max(n.c.hold, holdPart*n.c.Election) }

func (n *Node) moveAfter() time.Duration { return n.holdTime() * moveAfter / holdTime }

// Holds reports whether this node may run what lives on one node at a time: it
// has a leader, knows what that has moved, and its disk takes what comes.
func (n *Node) Holds() bool { return n.held.Load() && n.hears() }

func (n *Node) hears() bool {
	c := n.lastContact()
	return c >= 0 && c < n.holdTime() && !n.stalled()
}

// hold keeps up whether this node holds what it has.
func (n *Node) hold(ctx context.Context) {
	for pause(ctx, holdLook) {
		was, is := n.held.Load(), n.hears()
		if is && !was {
			is = n.catchUp(ctx) == nil // something may have been moved meanwhile
		}
		if n.held.Store(is); is != was {
			n.devices.Changed()
		}
	}
}

// mover has the mounts of nodes that are away live elsewhere.
type mover struct {
	looked time.Time
	gone   map[string]time.Time // nodes with mounts that are members no more: since when
}

// moveMounts moves what is on nodes that have been away for long.
func (c *clockwork) moveMounts(ctx context.Context, now time.Time) {
	if now.Before(c.mover.looked.Add(time.Second)) {
		return
	}
	c.mover.looked = now
	im := c.n.machine.Image()
	away, kinds, load := []vfs.Mounted{}, map[string]string{}, map[string]int{}
	away = c.away(im, load)
	for _, m := range away {
		if lib, ok := fsm.LibraryOf(im.View, m.Type); ok {
			kinds[m.Type] = lib.Kind
		}
	}
	level := fsm.LevelOf(im.View)
	im.Release()
	if len(away) == 0 || level < fsm.PlacementLevel {
		return
	}
	there := c.n.census(ctx, slices.DeleteFunc(c.n.members(), func(id string) bool { return !c.n.contacts.since(id).IsZero() }))
	for _, m := range away {
		to := fittest(there, load, kinds[m.Type], m.Node)
		if to == "" {
			c.mover.looked = now.Add(moveRetry)
			continue
		}
		out, err := c.n.pack.submit(ctx, vfs.Request{Ops: []vfs.Op{fsm.MoveOp(m, to)}})
		if err == nil {
			err = out.Err
		}
		if err != nil {
			c.n.c.Log.Warn("mount is not moved", "path", string(m.Path), "from", m.Node, "to", to, "error", err)
			continue
		}
		load[to]++
		c.n.c.Log.Warn("mount is moved: its node is away", "path", string(m.Path), "from", m.Node, "to", to, "index", out.Index)
	}
}

// away returns the mounts that roam whose node has been away for long, and counts
// in load how many each node has.
func (c *clockwork) away(im *fsm.Image, load map[string]int) (out []vfs.Mounted) {
	members, gone := c.n.members(), map[string]time.Time{}
	for _, m := range im.Table.Mounts() {
		if !m.Roams {
			continue
		}
		load[m.Node]++
		since := c.n.contacts.since(m.Node)
		if !slices.Contains(members, m.Node) {
			if since = c.mover.gone[m.Node]; since.IsZero() {
				since = time.Now()
			}
			gone[m.Node] = since
		}
		if !since.IsZero() && time.Since(since) > c.n.moveAfter() {
			out = append(out, m)
		}
	}
	c.mover.gone = gone
	return out
}

// members returns the ids of all members.
func (n *Node) members() (ids []string) {
	for _, s := range n.configuration().Servers {
		ids = append(ids, string(s.ID))
	}
	return ids
}

// fittest returns the node that runs a kind of plugin and has the fewest mounts;
// "" if there is none.
func fittest(there map[string]state, load map[string]int, kind, but string) (best string) {
	for _, id := range slices.Sorted(maps.Keys(there)) {
		s := there[id]
		if id == but || s.Stalled || s.Full || !slices.Contains(s.Runs, kind) {
			continue
		}
		if best == "" || load[id] < load[best] {
			best = id
		}
	}
	return best
}
