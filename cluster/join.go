package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/secret"
	"github.com/pfs-project/pfs/vfs"
)

const joinTime = 5 * time.Second

// joining asks the leader to take a node in, or to note its address.
type joining struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Voter   bool   `json:"voter"`
	Applied uint64 `json:"applied"`
	// Fresh says that the directory is new: if the cluster has a vote of this
	// name, what it was given to is forgotten.
	Fresh bool   `json:"fresh,omitempty"`
	Level uint64 `json:"level,omitempty"` // the newest feature level that the node knows
	Nonce string `json:"nonce,omitempty"` // of the process
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
// Raft is not let in before the promise, and the promise comes with the answer:
// so no mount is applied here whose secrets cannot be revealed, and a node whose
// directory was wiped takes no part before the leader has taken its vote away.
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
	b, err := json.Marshal(joining{n.id, n.mux.advertise, !n.c.NonVoter, n.machine.Applied(), n.self.cluster() == "", n.c.level, n.nonce})
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
		n.noteRemoval(conf, s)
		if s.state == nil || n.raft.State() == raft.Leader {
			return nil
		}
		to = target{s.state.ID, s.state.Address}
	}
	s, in := serverOf(conf, n.id)
	if !in {
		return nil // taken out of the cluster: not for this node to undo
	}
	if ok {
		n.removed.Store(false)
	}
	if string(s.Address) == n.mux.advertise && (s.Suffrage == raft.Voter || n.c.NonVoter || n.standby()) {
		return nil
	}
	if to.id == n.id {
		return n.place(conf, s, n.mux.advertise, s.Suffrage)
	}
	_, err := n.join(ctx, to)
	return err
}

// standby reports whether an operator wants this node without a vote.
func (n *Node) standby() bool {
	m := n.record(n.id)
	return m != nil && m.Standby
}

// noteRemoval finds out whether this node, which hears of no leader, is a
// member no more: the newest committed configuration that it knows of, its own
// or that of a node that it has asked, is without it.
func (n *Node) noteRemoval(conf raft.Configuration, s sight) {
	_, in := serverOf(conf, n.id)
	committed, index := n.machine.LastConfig()
	if m := s.members; m != nil && m.Config > index {
		in = m.Member
	} else if _, was := serverOf(committed, n.id); was {
		in = true
	}
	if !in && !n.removed.Swap(true) {
		n.c.Log.Warn("this node was removed from the cluster: its data is kept, and it takes no reads or writes")
	} else if in {
		n.removed.Store(false)
	}
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
func (n *Node) serveJoin(ctx context.Context, from string, b []byte) (reply, error) {
	var j joining
	if err := json.Unmarshal(b, &j); err != nil || j.ID == "" || j.Address == "" || j.ID != from {
		return reply{}, vfs.Invalid.With("join: bad request")
	}
	card := n.self.card()
	if plantAmnesia && j.Fresh {
		return jsonReply(joined{Cluster: card.Cluster, Key: card.Key})
	}
	if n.reign.Load() == nil {
		to, ok := n.leader()
		if !ok || to.id == n.id {
			return reply{}, errNoLeader
		}
		return jsonReply(joined{Leader: to.id, Address: to.address})
	}
	if err := n.managing.enter(ctx); err != nil {
		return reply{}, err
	}
	defer n.managing.leave()
	if err := n.takeIn(ctx, j); err != nil {
		if n.turnedAway.news(j.ID + err.Error()) {
			n.c.Log.Warn("node is not taken in", "node", j.ID, "address", j.Address, "error", err)
		}
		return reply{}, vfs.Unavailable.With("join: " + err.Error())
	}
	return jsonReply(joined{Cluster: card.Cluster, Key: card.Key})
}

// takeIn gives a node its place. One whose directory is new has no vote when
// it returns nil.
func (n *Node) takeIn(ctx context.Context, j joining) error {
	if level := n.level(); j.Level < level {
		return fmt.Errorf("the cluster is at feature level %d and its version knows up to %d: it needs a newer one", level, j.Level)
	}
	conf := n.configuration()
	s, known := serverOf(conf, j.ID)
	// It asked before it was removed, or it was down then. What it has applied
	// tells nothing: a power cut takes a state that was not synced yet.
	if !known && !j.Fresh {
		return errors.New("it was removed: take it in with pfs cluster add, or start it with an empty directory")
	}
	if known && (j.Fresh || string(s.Address) != j.Address) {
		if err := n.checkTwin(ctx, s, j); err != nil {
			return err
		}
	}
	if j.Fresh && known && s.Suffrage == raft.Voter {
		if err := n.takeVote(ctx, conf, s); err != nil {
			return fmt.Errorf("it was wiped, and its vote cannot be taken away: %w", err)
		}
		n.c.Log.Warn("a wiped node has lost its vote until it has caught up", "node", j.ID)
		conf = n.configuration()
		s, known = serverOf(conf, j.ID)
	}
	as := s.Suffrage
	if !known {
		s.ID, as = raft.ServerID(j.ID), raft.Nonvoter
	}
	if m := n.record(j.ID); known && j.Voter && !j.Fresh && n.caughtUp(j.Applied) && (m == nil || !m.Standby) {
		as = raft.Voter
	}
	n.book.learn(j.ID, j.Address)
	if known && string(s.Address) == j.Address && s.Suffrage == as {
		return nil
	}
	if err := n.place(conf, s, j.Address, as); err != nil {
		return err
	}
	n.c.Log.Info("node joined", "node", j.ID, "address", j.Address, "as", as.String())
	return nil
}

// checkTwin refuses a node that has taken the name of one that is alive.
func (n *Node) checkTwin(ctx context.Context, s raft.Server, j joining) error {
	if string(s.ID) == n.id {
		return fmt.Errorf("node %s leads: give the other one another id", n.id)
	}
	h, err := n.hello(ctx, target{address: string(s.Address)})
	if err != nil || h.ID != j.ID || h.Nonce == j.Nonce {
		return nil
	}
	return fmt.Errorf("node %s is running at %s: give the other one another id", j.ID, s.Address)
}

// takeVote takes the vote of a wiped voter away, if those that are left are a
// quorum of their own.
func (n *Node) takeVote(ctx context.Context, conf raft.Configuration, s raft.Server) error {
	if err := n.checkQuorum(ctx, votersWithout(conf, string(s.ID))); err != nil {
		return err
	}
	return n.raft.DemoteVoter(s.ID, 0, joinTime).Error()
}

// caughtUp reports whether a node that has applied so much may vote.
func (n *Node) caughtUp(applied uint64) bool {
	commit := n.raft.CommitIndex()
	return applied > 0 && commit-min(commit, applied) < maxLag
}
