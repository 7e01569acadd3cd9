package cluster

import (
	"sync"

	"github.com/hashicorp/raft"
)

// nudger tells followers at once that an entry is committed when no other entry
// follows that would. Raft itself tells them with its next message, up to its
// commit timeout later, and a client of a follower would wait for that. What it
// sends is what raft would send: an append without entries, which a follower
// without the entry turns down.
type nudger struct {
	n  *Node
	mu sync.Mutex
	to map[string]*nudge
}

// nudge is what one follower is to hear.
type nudge struct {
	want  uint64 // committed index
	going bool
}

// all tells every other node.
func (g *nudger) all(index uint64) {
	for _, s := range g.n.configuration().Servers {
		if string(s.ID) != g.n.id {
			g.send(string(s.ID), index)
		}
	}
}

// send tells the node with that id that index, an entry of our term, is
// committed. It does not wait, and of several it sends the last.
func (g *nudger) send(id string, index uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.to == nil {
		g.to = map[string]*nudge{}
	}
	p := g.to[id]
	if p == nil {
		p = &nudge{}
		g.to[id] = p
	}
	if index <= p.want {
		return
	}
	p.want = index
	if !p.going {
		p.going = g.n.crew.spawn(func() { g.run(id, p) })
	}
}

func (g *nudger) run(id string, p *nudge) {
	for sent := uint64(0); ; {
		g.mu.Lock()
		index := p.want
		p.going = index > sent
		g.mu.Unlock()
		if index <= sent {
			return
		}
		g.tell(id, index)
		sent = index
	}
}

func (g *nudger) tell(id string, index uint64) {
	n := g.n
	reign := n.reign.Load()
	if reign == nil || index < reign.begin {
		return // not an entry of our term
	}
	me := raft.ServerAddress(n.mux.advertise)
	req := raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.id), Addr: []byte(me)},
		Term:      reign.term, Leader: []byte(me),
		PrevLogEntry: index, PrevLogTerm: reign.term, LeaderCommitIndex: index,
	}
	var resp raft.AppendEntriesResponse
	if to, ok := n.book.find(id); ok {
		// No answer is no loss: raft tells the follower too.
		_ = n.net.AppendEntries(raft.ServerID(id), raft.ServerAddress(to.address), &req, &resp)
	}
}
