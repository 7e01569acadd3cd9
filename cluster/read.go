package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/trace"
	"github.com/pfs-project/pfs/vfs"
)

// Image returns the state to read from, as fresh as l asks; the caller
// releases it. A local read is answered at once, but for those of a node that
// was just started again: its state may be behind what it has acknowledged, and
// they wait until it is not, or no quorum answers; one that waits as long as a
// linearizable read may gives Unavailable. An index that is not applied
// within l.Wait gives Timeout. A linearizable read that reaches no quorum
// gives Unavailable within five seconds. So does every read of a node that was
// removed from the cluster: what it has will never be as the others have it.
func (n *Node) Image(ctx context.Context, l vfs.Level) (*fsm.Image, error) {
	if n.removed.Load() {
		return nil, errRemoved
	}
	if !l.Present && !n.awaitFresh(ctx) {
		if err := n.Serves(); err != nil {
			return nil, vfs.Unavailable.Withf("this node has just started: %v", err)
		}
		return nil, vfs.Unavailable.With("this node has just started and has not caught up")
	}
	if l.Linearizable {
		start := time.Now()
		_, err := n.catchUp(ctx)
		n.metrics.confirmed(ctx, time.Since(start))
		if err != nil {
			return nil, err
		}
	}
	if l.MinIndex > 0 && l.MinIndex > n.machine.Applied() && !plantIndex {
		wait := l.Wait
		if wait <= 0 {
			wait = waitTime
		}
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		if err := n.machine.Wait(ctx, l.MinIndex); err != nil {
			if vfs.KindOf(err) == vfs.Unavailable {
				return nil, err
			}
			return nil, vfs.Timeout.Withf("index %d is not applied here yet", l.MinIndex)
		}
	}
	if err := n.Failed(); err != nil {
		return nil, vfs.Unavailable.With("this node cannot go on")
	}
	im := n.machine.Image()
	switch {
	case im.Stopped:
		im.Release()
		return nil, vfs.Unavailable.With("this node is stopping")
	case im.Loading:
		im.Release()
		return nil, errLoading
	}
	return im, nil
}

// awaitFresh waits until freshen lets reads go on; false if ctx ends first, or it
// takes too long. Nearly always there is nothing to wait for, and a context that is
// asked when it ends makes a timer.
func (n *Node) awaitFresh(ctx context.Context) bool {
	select {
	case <-n.fresh:
		return true
	default:
	}
	late := time.NewTimer(n.readTime())
	defer late.Stop()
	select {
	case <-n.fresh:
		return true
	case <-late.C:
		return false
	case <-ctx.Done():
		return false
	}
}

var errLoading = vfs.Unavailable.With("a backup is being restored into this cluster")

// freshen lets reads go on that wait for a node that was started again: once it has
// what a quorum first said was acknowledged, however long that takes, for it may never
// have all of what is said later. One without a quorum answers from what it has after a
// while. One that has nothing waits for its first mounts: until then every path would
// seem to be a wrong one.
func (n *Node) freshen(ctx context.Context) {
	defer close(n.fresh)
	empty, wanted := n.bare(), uint64(0)
	for {
		index, err := n.catchUp(ctx)
		if wanted == 0 {
			wanted = index
		}
		caughtUp := wanted > 0 && n.machine.Applied() >= wanted
		switch {
		case caughtUp && !(empty && n.serves() != nil):
			return
		case index == 0 && !n.bare() && !n.behind(): // also if it has lost its quorum since
			if ctx.Err() == nil {
				n.c.Log.Warn("reads are answered without a quorum, from what this node had when it stopped", "error", err)
			}
			return
		}
		if !pause(ctx, retryPause) {
			return
		}
	}
}

// behind reports whether there is more to wait for than a quorum that says so: this
// node has not folded all that it knows to be committed, as one that has to lead and
// found much in its log, or it hears a leader.
func (n *Node) behind() bool { return n.lag() > 0 || n.hears() }

// bare reports whether nothing is mounted.
func (n *Node) bare() bool {
	im := n.machine.Image()
	defer im.Release()
	return len(im.Table.Mounts()) == 0
}

// Watch has hear called when a row of this node's applied state may have
// changed; see fsm.Machine.Watch.
func (n *Node) Watch(row []byte, hear func()) (stop func()) { return n.machine.Watch(row, hear) }

// catchUp returns once this node has applied all that was acknowledged before
// the call. The index of that comes with an error, too, unless no quorum told it.
func (n *Node) catchUp(ctx context.Context) (index uint64, err error) {
	if err := n.gate.enter(); err != nil {
		return 0, err
	}
	defer n.gate.leave()
	ctx, cancel := context.WithTimeout(ctx, n.readTime())
	defer cancel()
	for {
		told, err := n.readIndex(ctx)
		if err == nil {
			index = told
			if err = n.machine.Wait(ctx, index); err == nil {
				return index, nil
			}
		}
		switch {
		case pause(ctx, retryPause):
		case index > 0:
			return index, vfs.Unavailable.With("this node has not applied yet what the read has to see")
		default:
			return 0, vfs.Unavailable.Withf("no quorum confirmed the read: %v", err)
		}
	}
}

// readTime is how long a read waits for what it has to see.
func (n *Node) readTime() time.Duration { return min(readTime, n.c.patience) }

// readIndex returns an index that covers all acknowledged writes.
func (n *Node) readIndex(ctx context.Context) (uint64, error) {
	if n.reign.Load() != nil {
		return n.reads.join(ctx)
	}
	return n.asks.join(ctx)
}

// verifyRead is one round of the leader: the commit index, and then a quorum's
// word that no other node has led meanwhile.
func (n *Node) verifyRead(ctx context.Context) (uint64, error) {
	r := n.reign.Load()
	if r == nil {
		return 0, errNotLeader
	}
	index := max(n.raft.CommitIndex(), r.begin)
	if plantLease {
		return index, nil
	}
	if err := n.confirm(ctx, r.term); err != nil {
		return 0, &elsewhereError{err}
	}
	if !n.rules(r) {
		return 0, errNotLeader
	}
	return index, nil
}

// confirm asks the voters for their terms, and returns nil once a majority, this
// node among them, is in none after term: then no other node led before the
// question, for it would have the vote of one of them, and a vote raises the
// term first. Raft's own VerifyLeader takes any answer for one to its question,
// also those that were on their way before.
func (n *Node) confirm(ctx context.Context, term uint64) error {
	voters := n.voters()
	need := len(voters)/2 + 1
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel() // who has not answered is not waited for
	answers := make(chan error, len(voters))
	asked := 0
	for _, id := range voters {
		if id == n.id {
			need--
		} else if to, ok := n.book.find(id); ok {
			asked++
			go func() { answers <- n.askTerm(ctx, to, term) }() // ends with ctx
		}
	}
	var last error
	for ; need > 0; asked-- {
		if asked == 0 {
			return errors.Join(errors.New("no majority answers"), last)
		}
		if err := <-answers; err != nil {
			last = err
			continue
		}
		need--
	}
	return nil
}

// askTerm returns nil if a node is in no term after term.
func (n *Node) askTerm(ctx context.Context, to target, term uint64) error {
	b, err := n.peers.call(ctx, to, short, callTerm)
	switch {
	case err != nil:
		return err
	case len(b) != 8:
		return errors.New("answer is not a term")
	case binary.BigEndian.Uint64(b) > term:
		return errNotLeader
	}
	return nil
}

func (n *Node) serveTerm(context.Context, string, []byte) (reply, error) {
	return reply{payload: binary.BigEndian.AppendUint64(nil, n.raft.CurrentTerm())}, nil
}

// askLeader is one round of a follower. The call carries the id of the request
// that began the round.
func (n *Node) askLeader(ctx context.Context) (uint64, error) {
	to, ok := n.leader()
	if !ok || to.id == n.id {
		return 0, errNoLeader
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	b, err := n.peers.call(ctx, to, short, callIndex)
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, errors.New("answer is not an index")
	}
	return binary.BigEndian.Uint64(b), nil
}

func (n *Node) serveIndex(ctx context.Context, _ string, _ []byte) (reply, error) {
	index, err := n.reads.join(ctx)
	if err != nil {
		return reply{}, err
	}
	return reply{payload: binary.BigEndian.AppendUint64(nil, index)}, nil
}

// rounds lets callers share the answer of a question whose answer is good for
// all who asked before it was put: one is under way, all others wait for the
// next.
type rounds struct {
	put func(context.Context) (uint64, error)

	mu      sync.Mutex
	running bool
	next    *round
}

type round struct {
	done  chan struct{}
	trace *trace.Trace // of who began it; may be nil
	index uint64
	err   error
}

func newRounds(put func(context.Context) (uint64, error)) *rounds { return &rounds{put: put} }

// join takes part in the next round.
func (s *rounds) join(ctx context.Context) (uint64, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &round{done: make(chan struct{}), trace: trace.From(ctx)}
	}
	r := s.next
	if !s.running {
		s.running = true
		go s.run() // ends when nobody waits; what it asks is bounded in time
	}
	s.mu.Unlock()
	select {
	case <-r.done:
		return r.index, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (s *rounds) run() {
	for {
		s.mu.Lock()
		r := s.next
		s.next = nil
		if r == nil {
			s.running = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		// Its end must not depend on who happened to begin it.
		r.index, r.err = s.put(trace.With(context.Background(), r.trace))
		close(r.done)
	}
}

// lag returns how many entries this node knows to be committed and has not
// applied.
func (n *Node) lag() uint64 {
	commit, applied := n.raft.CommitIndex(), n.machine.Applied()
	return commit - min(commit, applied)
}

// lastContact is how long ago this node heard of its leader; 0 on the leader.
func (n *Node) lastContact() time.Duration {
	if n.reign.Load() != nil {
		return 0
	}
	at := n.raft.LastContact()
	if at.IsZero() {
		return -1
	}
	return time.Since(at)
}
