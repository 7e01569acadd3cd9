package cluster

import (
	"context"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

const (
	introWait = 100 * time.Millisecond
	introTime = 5 * time.Second // between two looks at what the log says of us
)

// introduce has the log know this node: its number and where its API is.
func (n *Node) introduce(ctx context.Context) {
	card := n.self.card()
	me := fsm.Member{ID: n.id, HTTP: n.c.HTTP, Raft: n.mux.advertise, Incarnation: card.Incarnation, Boots: card.Boots,
		Level: n.c.level}
	for wait := introWait; pause(ctx, wait); {
		wait = introWait
		if n.introduced(me) {
			wait = introTime
			continue
		}
		if _, id := n.raft.LeaderWithID(); id == "" || n.lag() > maxLag {
			continue
		}
		op := vfs.Op{Verb: vfs.Member, Path: vfs.Root, Data: fsm.EncodeMember(me)}
		out, err := n.propose(ctx, vfs.Request{Ops: []vfs.Op{op}})
		if err == nil {
			err = out.Err
		}
		if err != nil && ctx.Err() == nil {
			n.c.Log.Warn("node is not introduced", "error", err)
		}
	}
}

// introduced reports whether the log says of this node what it should. It ends
// the node if the log has come to know a newer directory of it.
func (n *Node) introduced(me fsm.Member) bool {
	m := n.record(n.id)
	if m == nil {
		return false
	}
	if err := m.Replaced(me.Incarnation, me.Boots); err != nil {
		n.fail(copyError(err))
		return true
	}
	n.number.Store(uint32(m.Number))
	return m.HTTP == me.HTTP && m.Raft == me.Raft && m.Incarnation == me.Incarnation && m.Boots == me.Boots && m.Level == me.Level
}

// Number returns the short number that the log gave this node, 0 before it has.
func (n *Node) Number() uint16 { return uint16(n.number.Load()) }

// Peer returns the base URL of the API of the node with a number; false if the
// log has not heard of it.
func (n *Node) Peer(number uint16) (url string, ok bool) {
	im := n.machine.Image()
	defer im.Release()
	for _, m := range im.Members() {
		if m.Number == number {
			return m.HTTP, true
		}
	}
	return "", false
}
