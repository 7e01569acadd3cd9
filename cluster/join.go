package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/secret"
	"github.com/pfs-project/pfs/vfs"
)

const (
	joinTime  = 5 * time.Second
	introWait = 100 * time.Millisecond
	introTime = 5 * time.Second // between two looks at what the log says of us
)

// joining asks the leader to take a node in, or to note its address.
type joining struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Voter   bool   `json:"voter"`
	Applied uint64 `json:"applied"`
}

// joined answers where the node should ask instead, if not here; else what a
// member has to know.
type joined struct {
	Cluster string `json:"cluster,omitempty"`
	Key     string `json:"key,omitempty"`
	Leader  string `json:"leader,omitempty"`
	Address string `json:"address,omitempty"`
}

// enlist makes this node, which is in no cluster yet, a member of that of h.
// Raft is not let in before the promise, and the promise comes with the key: so
// no mount is applied here whose secrets cannot be revealed.
func (n *Node) enlist(ctx context.Context, h *hello) error {
	j, err := n.join(ctx, target{h.ID, h.Address})
	if err != nil {
		return err
	}
	if err := n.promise(j.Cluster, j.Key, nil); err != nil {
		return err
	}
	n.peers.reset()
	return nil
}

// promise binds the node to a cluster, and gives it the key.
func (n *Node) promise(cluster, key string, forming []server) error {
	if err := n.self.promise(cluster, key, forming); err != nil {
		return err
	}
	return n.useKey()
}

// useKey lets secrets be sealed and revealed, once the card has the key.
func (n *Node) useKey() error {
	card := n.self.card()
	if card.Cluster == "" {
		return nil
	}
	k, err := secret.ParseKey(card.Key)
	if err != nil {
		return fmt.Errorf("%s: key: %w", identityFile, err)
	}
	n.secrets.SetKey(k)
	return nil
}

// join asks a node, and the leader that it names, to take this node in.
func (n *Node) join(ctx context.Context, to target) (joined, error) {
	b, err := json.Marshal(joining{n.id, n.mux.advertise, !n.c.NonVoter, n.machine.Applied()})
	if err != nil {
		return joined{}, err
	}
	for range 2 {
		call, cancel := context.WithTimeout(ctx, joinTime)
		answer, err := n.peers.call(call, to, short, callJoin, b)
		cancel()
		var j joined
		if err == nil {
			err = json.Unmarshal(answer, &j)
		}
		if err != nil {
			return joined{}, fmt.Errorf("join at %s: %w", to.address, err)
		}
		if j.Leader == "" {
			return j, nil
		}
		to = target{j.Leader, j.Address}
	}
	return joined{}, errors.New("join: the leader changes")
}

// keepPlace has the leader correct what the cluster knows of this node: where
// it is dialled, and that it votes. Without a leader it looks for the others,
// which may have moved.
func (n *Node) keepPlace(ctx context.Context, conf raft.Configuration) error {
	if err := n.self.formed(); err != nil {
		return err
	}
	to, ok := n.leader()
	if !ok {
		// The leader may be looking for us where we are no more.
		s := n.look(ctx)
		if s.state == nil || n.raft.State() == raft.Leader {
			return nil
		}
		to = target{s.state.ID, s.state.Address}
	}
	for _, s := range conf.Servers {
		if string(s.ID) != n.id {
			continue
		}
		votes := s.Suffrage == raft.Voter || n.c.NonVoter
		if string(s.Address) == n.mux.advertise && votes {
			return nil
		}
		if to.id == n.id {
			return n.place(conf, s, n.mux.advertise, s.Suffrage)
		}
		_, err := n.join(ctx, to)
		return err
	}
	return nil // taken out of the cluster: not for this node to undo
}

// patience is raft's settings of a node that has company.
func (n *Node) patience() raft.ReloadableConfig {
	r := n.raft.ReloadableConfig()
	r.HeartbeatTimeout, r.ElectionTimeout = n.c.Election, n.c.Election
	return r
}

// place writes a node into raft's configuration. conf is what that is based on.
func (n *Node) place(conf raft.Configuration, s raft.Server, addr string, as raft.ServerSuffrage) error {
	for _, o := range conf.Servers {
		if o.ID != s.ID && string(o.Address) == addr {
			return fmt.Errorf("node %s has the address %s", o.ID, addr)
		}
	}
	if err := n.raft.ReloadConfig(n.patience()); err != nil {
		return err
	}
	if as == raft.Voter {
		return n.raft.AddVoter(s.ID, raft.ServerAddress(addr), 0, joinTime).Error()
	}
	return n.raft.AddNonvoter(s.ID, raft.ServerAddress(addr), 0, joinTime).Error()
}

// serveJoin takes a node in as one that does not vote, and lets it vote once
// it asks with the state caught up.
func (n *Node) serveJoin(_ context.Context, from string, b []byte) (reply, error) {
	var j joining
	if err := json.Unmarshal(b, &j); err != nil || j.ID == "" || j.Address == "" || j.ID != from {
		return reply{}, vfs.Invalid.With("join: bad request")
	}
	if n.reign.Load() == nil {
		to, ok := n.leader()
		if !ok || to.id == n.id {
			return reply{}, errNoLeader
		}
		return jsonReply(joined{Leader: to.id, Address: to.address})
	}
	conf := n.configuration()
	s, as, known := raft.Server{ID: raft.ServerID(j.ID)}, raft.Nonvoter, false
	for _, o := range conf.Servers {
		if string(o.ID) == j.ID {
			s, as, known = o, o.Suffrage, true
		}
	}
	commit := n.raft.CommitIndex()
	if known && j.Voter && j.Applied > 0 && commit-min(commit, j.Applied) < maxLag {
		as = raft.Voter
	}
	n.book.learn(j.ID, j.Address)
	card := n.self.card()
	welcome := joined{Cluster: card.Cluster, Key: card.Key}
	if known && string(s.Address) == j.Address && s.Suffrage == as {
		return jsonReply(welcome)
	}
	if err := n.place(conf, s, j.Address, as); err != nil {
		return reply{}, vfs.Unavailable.With("join: " + err.Error())
	}
	n.c.Log.Info("node joined", "node", j.ID, "address", j.Address, "as", as.String())
	return jsonReply(welcome)
}

// introduce has the log know this node: its number and where its API is.
func (n *Node) introduce(ctx context.Context) {
	me := fsm.Member{ID: n.id, HTTP: n.c.HTTP, Raft: n.mux.advertise}
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

// introduced reports whether the log says of this node what it should.
func (n *Node) introduced(me fsm.Member) bool {
	im := n.machine.Image()
	defer im.Release()
	for _, m := range im.Members() {
		if m.ID != n.id {
			continue
		}
		n.number.Store(uint32(m.Number))
		m.Number = 0
		return m == me
	}
	return false
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
