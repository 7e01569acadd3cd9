package cluster

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"
)

const (
	contactEvery = 2 * time.Second
	// silentLong is for how long a member may be unreachable before the leader
	// warns of it, and warnEvery how often it does. It is never taken out of
	// the cluster for that.
	silentLong = 30 * time.Second
	warnEvery  = 10 * time.Minute
)

// contacts is when each member was last heard. Safe for concurrent use.
type contacts struct {
	mu sync.Mutex
	of map[string]contact
}

type contact struct {
	heard  time.Time // last answer; when we began to ask, if there was none
	lost   bool      // the last question had no answer
	warned time.Time
	lag    uint64 // entries that it had not applied when it answered last
}

// note takes down whether a member has answered.
func (c *contacts) note(id string, answered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]contact{}
	}
	k, known := c.of[id]
	if answered || !known {
		k.heard = time.Now()
	}
	if k.lost = !answered; answered {
		k.warned = time.Time{}
	}
	c.of[id] = k
}

// behind takes down how many entries a member that answered is behind.
func (c *contacts) behind(id string, lag uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.of[id]
	k.lag = lag
	c.of[id] = k
}

// all returns what is known of every other member.
func (c *contacts) all() map[string]contact {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.of)
}

// since returns from when on a member has not been heard; zero if it is there.
func (c *contacts) since(id string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.of[id]; k.lost {
		return k.heard
	}
	return time.Time{}
}

// warn reports whether it is time to warn of a member.
func (c *contacts) warn(id string, long time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.of[id]
	if !k.lost || time.Since(k.heard) < long || time.Since(k.warned) < warnEvery {
		return false
	}
	k.warned = time.Now()
	c.of[id] = k
	return true
}

// forget drops those that are members no more.
func (c *contacts) forget(keep map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.of {
		if !keep[id] {
			delete(c.of, id)
		}
	}
}

// callState asks a node how it is; false if it does not answer, or makes no
// sense.
func (n *Node) callState(ctx context.Context, id string) (st state, ok bool) {
	if to, known := n.book.find(id); known {
		b, err := n.peers.call(ctx, to, short, callState)
		ok = err == nil && json.Unmarshal(b, &st) == nil
	}
	if ok || ctx.Err() == nil || ctx.Err() == context.DeadlineExceeded {
		n.contacts.note(id, ok)
		if commit := n.raft.CommitIndex(); ok {
			n.contacts.behind(id, commit-min(commit, st.Applied))
		}
	}
	return st, ok
}

// watchMembers asks all other members every now and then how they are, so
// that it is known since when one is unreachable. The leader warns of it.
func (n *Node) watchMembers(ctx context.Context) {
	for pause(ctx, contactEvery) {
		keep := map[string]bool{}
		var ids []string
		for _, s := range n.configuration().Servers {
			if keep[string(s.ID)] = true; string(s.ID) != n.id {
				ids = append(ids, string(s.ID))
			}
		}
		n.contacts.forget(keep)
		n.census(ctx, ids)
		for _, id := range ids {
			if n.reign.Load() != nil && n.contacts.warn(id, n.c.warnAfter) {
				n.c.Log.Warn("a member is unreachable: if it will not come back, add another node and remove it",
					"node", id, "since", n.contacts.since(id))
			}
		}
	}
}
