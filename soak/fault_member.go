//go:build linux

package soak

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// change asks node i for a change of the members until it is made: what must
// not be done yet may be possible a little later.
func (r *round) change(i int, what string, body map[string]any) {
	b, err := json.Marshal(body)
	r.check(err)
	w := newWire(r.c.Nodes[i].URL)
	defer w.close()
	last := ""
	ok := harness.Poll(patience, func() bool {
		re, err := w.do(http.MethodPost, "/api/v1/cluster/"+what, string(b), http.Header{}, 2*patience, false)
		if err != nil {
			last = err.Error()
			return false
		}
		last = re.body
		return re.status == http.StatusOK
	})
	if !ok {
		r.fail("%s of %v: %s", what, body, strings.TrimSpace(last))
	}
}

// other returns a node that is not i.
func (r *round) other(i int) int { return (i + 1 + r.rng.IntN(len(r.c.Nodes)-1)) % len(r.c.Nodes) }

// votes waits until node i has a vote.
func (r *round) votes(i int) {
	ok := harness.Poll(bootTime, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), askTime)
		defer cancel()
		s, err := r.c.asks[r.other(i)].Cluster(ctx)
		if err != nil {
			return false
		}
		for _, n := range s.Nodes {
			if n.ID == name(i) && n.Role == "voter" {
				return true
			}
		}
		return false
	})
	if !ok {
		r.fail("%s has no vote after %v", name(i), bootTime)
	}
}

// removeAndJoin takes a node out of the cluster, perhaps the leader, and in
// again.
func (r *round) removeAndJoin() {
	i := r.shuffled()[0]
	r.begin("", i)
	r.change(r.other(i), "remove", map[string]any{"id": name(i)})
	r.hold(r.some(300, 1500))
	r.change(r.other(i), "join", map[string]any{"id": name(i), "raft_address": r.c.Nodes[i].Peer, "voter": true})
	r.votes(i)
	r.hold(0)
}

// demoteAndPromote takes a node's vote and gives it back.
func (r *round) demoteAndPromote() {
	i := r.shuffled()[0]
	r.begin("", i)
	r.change(r.other(i), "demote", map[string]any{"id": name(i)})
	r.hold(r.some(300, 1500))
	r.change(r.other(i), "promote", map[string]any{"id": name(i)})
	r.votes(i)
}

// transfer hands leadership on, again and again.
func (r *round) transfer() {
	r.begin("4 times")
	for range 4 {
		r.change(r.shuffled()[0], "transfer", map[string]any{})
		pauseFor(r.some(50, 500))
	}
	r.hold(0)
}

// snapshot has all nodes take snapshots, one after the other, and kills one
// under way.
func (r *round) snapshot() {
	i := r.follower()
	r.begin("", i)
	for end := r.c.now() + time.Second; r.c.now() < end; {
		n := r.shuffled()[0]
		r.change(n, "snapshot", map[string]any{})
		pauseFor(r.some(0, 100))
	}
	done := make(chan struct{})
	go func() { // waited for below
		defer close(done)
		w := newWire(r.c.Nodes[i].URL)
		defer w.close()
		// It is killed: there may be no answer.
		_, _ = w.do(http.MethodPost, "/api/v1/cluster/snapshot", "{}", http.Header{}, patience, false)
	}()
	pauseFor(r.some(0, 20))
	r.c.Nodes[i].Kill()
	<-done
	r.check(r.c.start(i))
	r.hold(0)
}
