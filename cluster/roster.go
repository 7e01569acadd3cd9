package cluster

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// standing is what a node is to this one.
type standing int

const (
	outsider standing = iota
	claimed           // nobody can tell: it may bring this node up to date, no more
	member
)

const (
	vouchTime  = 500 * time.Millisecond // to ask the members about a node
	vouchFresh = 5 * time.Second        // how long the word of members holds
	denyFresh  = time.Second
	aloneTime  = 10 * time.Second // without word of anybody who is led
	maxWords   = 1024
	maxAsking  = 8 // nodes that the members are asked about at once
)

// roster tells members from others. The configuration of raft decides; but this
// node may have missed that a node was added, even that all others were
// replaced. So before it refuses one that it does not know, it asks the members
// that it knows, and believes those who know more than itself. If none of them
// is to be reached any more, an unknown node may bring it up to date: raft
// takes nothing from it that a quorum has not decided.
type roster struct {
	n     *Node
	alone time.Duration

	mu     sync.Mutex
	words  map[string]*word
	asking int
	heard  time.Time // when somebody who is led was last heard
}

// word is what the members said of a node.
type word struct {
	standing standing
	until    time.Time
	asked    chan struct{} // closed once the answer is there; nil: nobody asks
}

func newRoster(n *Node, alone time.Duration) *roster {
	return &roster{n: n, alone: alone, words: map[string]*word{}, heard: time.Now()}
}

// listed reports whether raft's configuration has a node; all is true while
// there is no configuration.
func (r *roster) listed(id string) (listed, all bool) {
	servers := r.n.configuration().Servers
	for _, s := range servers {
		if string(s.ID) == id {
			return true, false
		}
	}
	return false, len(servers) == 0
}

// known tells what a node is without asking anybody; false if that takes more.
func (r *roster) known(id string) (standing, bool) {
	switch listed, all := r.listed(id); {
	case listed, all:
		return member, true
	case r.n.reign.Load() != nil: // who leads knows all
		return outsider, true
	case !r.n.up.Load(): // nor does it hear of anything yet
		return outsider, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.words[id]
	if w == nil || w.standing == outsider && time.Now().After(w.until) {
		return outsider, false
	}
	if time.Now().After(w.until) && w.asked == nil {
		// It was let in: that holds until somebody who knows denies it.
		r.ask(id, w)
	}
	return w.standing, true
}

// of tells what a node is; it asks others if it must, and ends with ctx.
func (r *roster) of(ctx context.Context, id string) standing {
	if s, ok := r.known(id); ok {
		return s
	}
	r.mu.Lock()
	w := r.words[id]
	if w == nil && r.room() {
		w = &word{}
		r.words[id] = w
	}
	if w != nil && w.asked == nil {
		r.ask(id, w)
	}
	if w == nil || w.asked == nil {
		r.mu.Unlock()
		return outsider // it may come again
	}
	asked := w.asked
	r.mu.Unlock()
	select {
	case <-asked:
	case <-ctx.Done():
	}
	s, _ := r.known(id)
	return s
}

// room makes room for one more word. The roster is locked.
func (r *roster) room() bool {
	if len(r.words) < maxWords {
		return true
	}
	for id, w := range r.words {
		if w.asked == nil && w.standing == outsider {
			delete(r.words, id)
		}
	}
	return len(r.words) < maxWords
}

// ask starts to ask about a node, unless too many are asked about already. The
// roster is locked.
func (r *roster) ask(id string, w *word) {
	if r.asking >= maxAsking {
		return
	}
	asked := make(chan struct{})
	if !r.n.crew.spawn(func() {
		defer close(asked)
		s, decided := r.inquire(id)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asking--
		w.asked = nil
		if decided || w.standing == outsider {
			w.standing = s
		}
		w.until = time.Now().Add(vouchFresh)
		if w.standing == outsider {
			w.until = time.Now().Add(denyFresh)
		}
	}) {
		return
	}
	r.asking++
	w.asked = asked
}

// vouching asks whether a node is in the configuration; position says how far
// the answering node's log goes.
type vouching struct {
	ID string `json:"id"`
}

type vouched struct {
	Member bool   `json:"member"`
	Led    bool   `json:"led"` // it leads, or hears a leader
	Term   uint64 `json:"term"`
	Index  uint64 `json:"index"`
}

// beyond reports whether v's log is more up to date than o's, as raft sees it.
func (v vouched) beyond(o vouched) bool {
	return v.Term > o.Term || v.Term == o.Term && v.Index > o.Index
}

func (r *roster) position() vouched {
	s := r.n.raft.Stats()
	number := func(key string) uint64 {
		v, _ := strconv.ParseUint(s[key], 10, 64) // raft's own figures
		return v
	}
	v := vouched{Term: number("last_log_term"), Index: number("last_log_index")}
	if at := (vouched{Term: number("last_snapshot_term"), Index: number("last_snapshot_index")}); at.beyond(v) {
		v = at // the log behind it may be empty
	}
	_, leader := r.n.raft.LeaderWithID()
	v.Led = leader != ""
	return v
}

func (n *Node) serveVouch(_ context.Context, _ string, b []byte) (reply, error) {
	var q vouching
	if err := json.Unmarshal(b, &q); err != nil || q.ID == "" {
		return reply{}, vfs.Invalid.With("vouch: bad request")
	}
	v := n.roster.position()
	v.Member, _ = n.roster.listed(q.ID)
	return jsonReply(v)
}

// inquire asks all members that can be reached. Who knows more than this node
// is believed, first of all those who hear a leader: one that was itself taken
// out of the cluster hears none.
func (r *roster) inquire(id string) (s standing, decided bool) {
	mine := r.position()
	var led, other *vouched
	for _, v := range r.answers(id) {
		switch {
		case v.Led && (led == nil || v.beyond(*led)):
			led = &v
		case v.Member && v.beyond(mine):
			other = &v
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if led != nil || mine.Led {
		r.heard = time.Now()
	}
	switch {
	case led != nil && led.Member && led.beyond(mine), led == nil && other != nil:
		return member, true
	case led != nil:
		return outsider, true
	case time.Since(r.heard) > r.alone:
		r.n.c.Log.Warn("an unknown node may bring this one up to date: no member can be asked about it", "node", id)
		return claimed, true
	}
	return outsider, false
}

func (r *roster) answers(id string) []vouched {
	ctx, cancel := context.WithTimeout(context.Background(), vouchTime)
	defer cancel()
	q, err := json.Marshal(vouching{id})
	if err != nil {
		return nil
	}
	var (
		mu  sync.Mutex
		out []vouched
		wg  sync.WaitGroup
	)
	for _, sv := range r.n.configuration().Servers {
		to, ok := r.n.book.find(string(sv.ID))
		if !ok || to.id == r.n.id || to.id == id {
			continue
		}
		wg.Go(func() {
			var v vouched
			b, err := r.n.peers.call(ctx, to, short, callVouch, q)
			if err == nil {
				err = json.Unmarshal(b, &v)
			}
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				out = append(out, v)
			}
		})
	}
	wg.Wait()
	return out
}
