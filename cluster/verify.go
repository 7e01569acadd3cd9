package cluster

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

const (
	verifyTries = 5
	verifyWait  = 5 * time.Second        // for a node to get to where others are
	aheadWait   = 3 * time.Second        // for all to get to where the log should be soon
	turnWait    = time.Second            // for others who have states hashed
	rateTime    = 150 * time.Millisecond // in which the log's growth is measured
)

// Verification compares the replicated state of all members at one index.
type Verification struct {
	Index    uint64      `json:"index"`
	Match    bool        `json:"match"`    // some answered, and all of these hold the same
	Complete bool        `json:"complete"` // every member has answered
	Nodes    []NodeState `json:"nodes"`    // by id
}

// NodeState is the state of one member as hashes.
type NodeState struct {
	ID     string            `json:"id"`
	Digest string            `json:"digest,omitempty"`     // of what was written
	Own    string            `json:"own_digest,omitempty"` // of what is the cluster's own
	Mounts map[string]string `json:"mounts,omitempty"`     // of each mount
	// Differs names the mounts in which it is not as most of the others, with
	// "own" for what is the cluster's own.
	Differs []string `json:"differs,omitempty"`
	Error   string   `json:"error,omitempty"` // why it has not answered
}

// digesting asks a node for hashes of its state at exactly an index.
type digesting struct {
	Index  uint64 `json:"index"`
	Mounts bool   `json:"mounts,omitempty"`
	Known  bool   `json:"known,omitempty"` // the last ones will do, if they are of that index
	Ahead  bool   `json:"ahead,omitempty"` // nobody is there yet
}

// Verify has every member hash its state at one index, under writes too, and
// compares the answers. It reads the whole state of each, so it takes as long
// as that, at most until ctx is done; then it is Timeout. Unavailable: the log
// grew too fast. Throttled: somebody else has it done.
func (n *Node) Verify(ctx context.Context) (Verification, error) {
	if err := n.gate.enter(); err != nil {
		return Verification{}, err
	}
	defer n.gate.leave()
	if err := n.takeTurn(ctx, n.verifying); err != nil {
		return Verification{}, err
	}
	defer n.verifying.leave()
	var v Verification
	for range verifyTries {
		var again error
		if v, again = n.compare(ctx, digesting{Mounts: true}); again == nil {
			break
		}
	}
	switch {
	case v.Nodes != nil:
		return v, nil
	case ctx.Err() != nil:
		return v, vfs.Timeout.With("the members have not hashed their state in time: allow more")
	}
	return v, vfs.Unavailable.With("the log grows too fast to stop all members at one entry: try again")
}

// takeTurn waits a little for a turn.
func (n *Node) takeTurn(ctx context.Context, t turn) error {
	ctx, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	if t.enter(ctx) != nil {
		n.metrics.throttled.Inc()
		return vfs.Throttled.With("states are being hashed for somebody else: try again")
	}
	return nil
}

// compare is one try of Verify. An error says why another may bring more: a
// call broke off; or a member was past the index, or the log did not get there,
// and then nothing was compared.
func (n *Node) compare(ctx context.Context, d digesting) (_ Verification, again error) {
	servers := n.configuration().Servers
	ids := make([]string, len(servers))
	for i, s := range servers {
		ids[i] = string(s.ID)
	}
	slices.Sort(ids)
	there, index, ahead := n.meet(ctx, ids)
	d.Index, d.Ahead = index, ahead
	v := Verification{Index: index, Complete: true, Nodes: make([]NodeState, len(ids))}
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		v.Nodes[i].ID = id
		if _, ok := there[id]; !ok {
			v.Nodes[i].Error, v.Complete = "does not answer", false
			continue
		}
		wg.Go(func() { errs[i] = n.askDigest(ctx, &v.Nodes[i], d) })
	}
	wg.Wait()
	for i, err := range errs {
		if errors.Is(err, vfs.Conflict) || ahead && errors.Is(err, vfs.Timeout) || ctx.Err() != nil {
			return Verification{}, vfs.Conflict
		}
		if err != nil {
			v.Nodes[i].Error, v.Complete = err.Error(), false
		}
		if ce := (*callError)(nil); errors.As(err, &ce) {
			again = err
		}
	}
	v.judge()
	return v, again
}

// meet finds an index that no member has passed and all will reach soon: where
// they are, if nothing is written; else as far ahead as the log gets meanwhile.
func (n *Node) meet(ctx context.Context, ids []string) (there map[string]state, index uint64, ahead bool) {
	furthest := func() (most uint64) {
		there = n.census(ctx, ids)
		for _, st := range there { // any order
			most = max(most, st.Applied)
		}
		return most
	}
	before, at := furthest(), time.Now()
	_ = pause(ctx, rateTime) // the caller looks at ctx
	after := furthest()
	if after == before {
		return there, after, false
	}
	grown := float64(after-before) / time.Since(at).Seconds() // entries a second
	return there, after + 16 + uint64(grown), true
}

// askDigest fills in what one member answers.
func (n *Node) askDigest(ctx context.Context, s *NodeState, d digesting) error {
	if s.ID == n.id {
		st, err := n.digestAt(ctx, d)
		if err == nil {
			*s = st
		}
		return err
	}
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	to, ok := n.book.find(s.ID)
	if !ok {
		return errNoAddress
	}
	if b, err = n.peers.call(ctx, to, bulk, callDigest, b); err != nil {
		return err
	}
	var st NodeState
	if err = json.Unmarshal(b, &st); err == nil && st.ID == s.ID {
		*s = st
	}
	return err
}

func (n *Node) serveDigest(ctx context.Context, _ string, b []byte) (reply, error) {
	var d digesting
	if err := json.Unmarshal(b, &d); err != nil {
		return reply{}, vfs.Invalid.With("digest: bad request")
	}
	s, err := n.digestAt(ctx, d)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(s)
}

// Sums waits until this node has applied index and returns hashes of the
// replicated state, with the index that they are of.
func (n *Node) Sums(ctx context.Context, index uint64) (fsm.Sums, error) {
	s, _, err := n.sums(ctx, index, false)
	return s, err
}

// MountSums is Sums with hashes of each mount, too.
func (n *Node) MountSums(ctx context.Context, index uint64) (fsm.Sums, []fsm.MountSum, error) {
	return n.sums(ctx, index, true)
}

func (n *Node) sums(ctx context.Context, index uint64, mounts bool) (fsm.Sums, []fsm.MountSum, error) {
	if err := n.machine.Wait(ctx, index); err != nil {
		if vfs.KindOf(err) == vfs.Unavailable {
			return fsm.Sums{}, nil, err
		}
		return fsm.Sums{}, nil, vfs.Timeout.Withf("index %d is not applied here yet", index)
	}
	if n.hashing.enter(ctx) != nil {
		n.metrics.throttled.Inc()
		return fsm.Sums{}, nil, vfs.Throttled.With("this node is hashing its state for somebody else: try again")
	}
	defer n.hashing.leave()
	im := n.machine.Image()
	defer im.Release()
	return im.Sums(ctx, mounts)
}

// digestAt hashes this node's state at an index; Conflict says that it is past
// that. One at a time: it reads everything.
func (n *Node) digestAt(ctx context.Context, d digesting) (s NodeState, err error) {
	patience := verifyWait
	if d.Ahead {
		patience = aheadWait
	}
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	im, err := n.machine.ImageAt(wait, d.Index)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = vfs.Timeout.Withf("it has not applied entry %d", d.Index)
		}
		return s, err
	}
	defer im.Release()
	if err := n.hashing.enter(ctx); err != nil { // who asks holds the one turn of a node
		return s, vfs.Timeout.With("it is hashing its state for somebody else")
	}
	defer n.hashing.leave()
	sums := n.lastSums // those whose turn it is may look
	var of []fsm.MountSum
	if !d.Known || d.Mounts || sums.Index != im.Index {
		if sums, of, err = im.Sums(ctx, d.Mounts); err != nil {
			return s, err
		}
		n.lastSums = sums
	}
	s = NodeState{ID: n.id, Digest: hex.EncodeToString(sums.State[:]), Own: hex.EncodeToString(sums.Own[:])}
	for _, m := range of {
		if s.Mounts == nil {
			s.Mounts = map[string]string{}
		}
		s.Mounts[m.Name] = hex.EncodeToString(m.Sum[:])
	}
	return s, nil
}

// judge finds out who differs, and where.
func (v *Verification) judge() {
	whole := func(s NodeState) string { return s.Digest + s.Own }
	most := v.most(whole)
	v.Match = most != ""
	var names []string
	for _, s := range v.Nodes {
		v.Match = v.Match && (s.Error != "" || whole(s) == most)
		for name := range s.Mounts {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	parts := map[string]func(NodeState) string{"own": func(s NodeState) string { return s.Own }}
	for _, name := range names {
		parts[name] = func(s NodeState) string { return s.Mounts[name] }
	}
	for _, name := range slices.Compact(append(names, "own")) {
		most := v.most(parts[name])
		for i := range v.Nodes {
			if s := &v.Nodes[i]; s.Error == "" && parts[name](*s) != most {
				s.Differs = append(s.Differs, name)
			}
		}
	}
}

// most returns what most members that answered have; of two that are as many,
// the smaller.
func (v *Verification) most(part func(NodeState) string) (best string) {
	votes := map[string]int{}
	for _, s := range v.Nodes {
		if s.Error == "" {
			votes[part(s)]++
		}
	}
	for text, k := range votes { // any order
		if k > votes[best] || k == votes[best] && strings.Compare(text, best) < 0 {
			best = text
		}
	}
	return best
}

// addDigests adds to a Status the digest of each member at one index, if all
// can be had in time.
func (n *Node) addDigests(ctx context.Context, s *Status) {
	if n.takeTurn(ctx, n.verifying) != nil {
		return
	}
	defer n.verifying.leave()
	v, again := n.compare(ctx, digesting{Known: true})
	for again != nil && ctx.Err() == nil {
		v, again = n.compare(ctx, digesting{Known: true})
	}
	s.DigestIndex = v.Index
	for i := range s.Nodes {
		for _, o := range v.Nodes {
			if o.ID == s.Nodes[i].ID {
				s.Nodes[i].Digest = o.Digest
			}
		}
	}
}
