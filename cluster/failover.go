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
// moveAfter, and when raft's heartbeats to it fail and had no answer for beatAfter: a
// node that answers those holds what it has, however long it lets others wait.
// By then that node has ended it: it takes no call holdTime after it heard
// of a leader last, and ends those under way. It may have heard of one for as long
// after its last answer as the next question takes that has none; the rest is for
// the calls to end, and for what the two clocks differ by.
const (
	holdTime  = 4 * time.Second
	endTime   = 2 * time.Second
	beatSlack = endTime + time.Second
	moveSlack = contactEvery + stateTime + beatSlack
	holdLook  = 250 * time.Millisecond
	moveRetry = 5 * time.Second // after no node was found for a mount
	holdPart  = 8               // times the time in which an election starts, if that is longer
)

func (n *Node) holdTime() time.Duration { return max(n.c.hold, holdPart*n.c.Election) }

func (n *Node) moveAfter() time.Duration { return n.holdTime() + moveSlack }

func (n *Node) beatAfter() time.Duration { return n.holdTime() + beatSlack }

// Holds reports whether this node may run what lives on one node at a time: it
// has a leader, knows what that has moved, and its disk takes what comes.
func (n *Node) Holds() bool { return n.held.Load() && !n.froze() && n.hears() }

// froze reports whether nobody has looked for so long that this node may have been
// stopped: what it hears then may have been said before its mounts were moved.
func (n *Node) froze() bool {
	at := n.looked.Load()
	return at == nil || time.Since(*at) >= n.holdTime()
}

func (n *Node) hears() bool {
	c := n.lastContact()
	return c >= 0 && c < n.holdTime() && !n.stalled()
}

// hold keeps up whether this node holds what it has.
func (n *Node) hold(ctx context.Context) {
	for pause(ctx, holdLook) {
		now := time.Now()
		if n.froze() && n.held.Swap(false) {
			n.devices.Changed()
		}
		was, is := n.held.Load(), n.hears()
		if is && !was {
			_, err := n.catchUp(ctx)
			is = err == nil // something may have been moved meanwhile
		}
		n.looked.Store(&now) // not of the end: it may have been stopped since
		if n.held.Store(is); is != was {
			n.devices.Changed()
		}
	}
}

// mover has the mounts of nodes that are away live elsewhere.
type mover struct {
	began  time.Time // what was heard before this node led, or was stopped, does not count
	turned time.Time
	looked time.Time
	gone   map[string]time.Time // nodes with mounts that are members no more: since when
}

// turn begins anew after a span without a turn in which this node may have been
// stopped: it has heard nobody then who was there.
func (m *mover) turn(long time.Duration) {
	now := time.Now()
	if !m.turned.IsZero() && now.Sub(m.turned) >= long {
		m.began = now
	}
	m.turned = now
}

// silent is for how long a member that was heard last at since has been, while
// somebody listened.
func (m *mover) silent(since time.Time) time.Duration {
	if since.Before(m.began) {
		since = m.began
	}
	return time.Since(since)
}

// moveMounts moves what is on nodes that have been away for long.
func (c *clockwork) moveMounts(ctx context.Context, now time.Time) {
	c.mover.turn(max(holdTime, c.n.holdTime()))
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
		since, dead := c.n.contacts.since(m.Node), true
		if slices.Contains(members, m.Node) {
			dead = c.n.beats.silent(m.Node, c.mover.began) > c.n.beatAfter()
		} else { // raft asks it no more
			if since = c.mover.gone[m.Node]; since.IsZero() {
				since = time.Now()
			}
			gone[m.Node] = since
		}
		if !since.IsZero() && dead && c.mover.silent(since) > c.n.moveAfter() {
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
