package cluster

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/lapse"
	"github.com/pfs-project/pfs/raftlog"
	"github.com/pfs-project/pfs/trace"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

const (
	maxQueued      = 4096
	maxQueuedBytes = 64 << 20
	maxPacked      = 4096            // Events in one entry
	entriesOut     = 4               // entries under way, if there is so much to write
	maxGap         = 1024            // entries committed and not yet applied
	enqueueTime    = 2 * time.Second // for raft to take an entry
)

// ticket is a Request that waits to be packed into an entry.
type ticket struct {
	req   vfs.Request
	size  int
	from  string      // the node that forwarded it; "" for this one
	taken atomic.Bool // by the packer, or by its caller who gave up
	done  chan settled
	at    time.Time
	late  *time.Timer // its caller's patience; nil until somebody has waited
}

type settled struct {
	out   vfs.Outcome
	err   error
	queue time.Duration
	took  entryStages
}

// packer is the leader's queue: it packs all Requests that wait into one raft
// entry. While one is under way it gathers the next, which costs every node a
// sync and an answer of its own; only what fills an entry goes beside others.
type packer struct {
	n     *Node
	wake  chan struct{}
	slots chan struct{}
	out   gate      // of entries that raft has
	spare sync.Pool // of *ticket that were answered

	mu    sync.Mutex
	queue []*ticket
	bytes int
	last  time.Time // stamped
}

func newPacker(n *Node) *packer {
	return &packer{n: n, wake: make(chan struct{}, 1), slots: make(chan struct{}, entriesOut)}
}

var errNotLeader = &elsewhereError{vfs.Unavailable.With("this node does not lead")}

// submit has r committed and returns its outcome. Errors: *elsewhereError, it
// was not proposed; *vfs.Unknown; Throttled.
func (p *packer) submit(ctx context.Context, r vfs.Request) (vfs.Outcome, error) {
	return p.relay(ctx, "", r)
}

// relay is submit for the node with that id, which forwarded r.
func (p *packer) relay(ctx context.Context, from string, r vfs.Request) (vfs.Outcome, error) {
	if p.n.reign.Load() == nil {
		return vfs.Outcome{}, errNotLeader
	}
	t := p.ticket(r, from)
	if err := p.push(t); err != nil {
		return vfs.Outcome{}, err
	}
	if s, ok := t.wait(ctx); ok {
		p.reuse(t)
		tr := trace.From(ctx)
		tr.Add(stageQueue, s.queue)
		s.took.note(tr)
		return s.out, s.err
	}
	if t.taken.CompareAndSwap(false, true) {
		return vfs.Outcome{}, &elsewhereError{vfs.Unavailable.With("no leader took the write in time")}
	}
	select {
	case s := <-t.done:
		return s.out, s.err
	default:
		return vfs.Outcome{}, &vfs.Unknown{Cause: cmp.Or(ctx.Err(), context.DeadlineExceeded)}
	}
}

func (p *packer) ticket(r vfs.Request, from string) *ticket {
	t, ok := p.spare.Get().(*ticket)
	if !ok {
		t = &ticket{done: make(chan settled, 1)}
	}
	t.req, t.size, t.from, t.at = r, wire.Size(r), from, time.Now()
	t.taken.Store(false)
	return t
}

// reuse takes back a ticket that was answered: nobody else has it any more.
func (p *packer) reuse(t *ticket) {
	if !plantAck {
		t.req = vfs.Request{}
		p.spare.Put(t)
	}
}

// wait returns the answer; false if ctx ends before. The ticket has a timer of its
// own, since one of ctx would be made for every write.
func (t *ticket) wait(ctx context.Context) (settled, bool) {
	until, before := lapse.Ends(ctx)
	var late <-chan time.Time
	if !until.IsZero() {
		if t.late == nil {
			t.late = time.NewTimer(time.Until(until))
		} else {
			t.late.Reset(time.Until(until))
		}
		defer t.late.Stop()
		late = t.late.C
	}
	select {
	case s := <-t.done:
		return s, true
	case <-before:
	case <-late:
	}
	return settled{}, false
}

func (p *packer) push(t *ticket) error {
	if commit, applied := p.n.raft.CommitIndex(), p.n.machine.Applied(); commit > applied+maxGap {
		p.n.metrics.throttled.Inc()
		return vfs.Throttled.With("the state is behind the log")
	}
	if err := p.n.admit(t.req); err != nil {
		p.n.metrics.crammed.Inc()
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) >= maxQueued || p.bytes+t.size > maxQueuedBytes {
		p.n.metrics.throttled.Inc()
		return vfs.Throttled.With("too many writes are waiting")
	}
	p.queue = append(p.queue, t)
	p.bytes += t.size
	p.rouse()
	return nil
}

func (p *packer) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// queued returns how many Requests wait, and their bytes.
func (p *packer) queued() (count, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue), p.bytes
}

// run packs until ctx is done.
func (p *packer) run(ctx context.Context) {
	for {
		select {
		case <-p.wake:
		case <-ctx.Done():
			p.drop()
			return
		}
		for p.due() {
			select {
			case p.slots <- struct{}{}:
			case <-ctx.Done():
				p.drop()
				return
			}
			batch := p.take()
			if len(batch) == 0 {
				<-p.slots
				break
			}
			p.propose(batch)
		}
	}
}

// due reports whether an entry is to go: something waits, and nothing is under
// way, or it fills an entry.
func (p *packer) due() bool {
	count, bytes := p.queued()
	return count > 0 && (len(p.slots) == 0 || count >= maxPacked || bytes+wire.Overhead >= vfs.MaxEntry)
}

// take removes from the queue what fits into one entry.
func (p *packer) take() []*ticket {
	p.mu.Lock()
	defer p.mu.Unlock()
	var batch []*ticket
	size := wire.Overhead
	for len(p.queue) > 0 && len(batch) < maxPacked {
		t := p.queue[0]
		if len(batch) > 0 && size+t.size > vfs.MaxEntry {
			break
		}
		p.queue[0] = nil
		p.queue = p.queue[1:]
		p.bytes -= t.size
		if t.taken.CompareAndSwap(false, true) {
			batch = append(batch, t)
			size += t.size
		}
	}
	if len(p.queue) == 0 {
		p.queue = nil // let go of what it has grown to
	}
	return batch
}

// drop answers all that wait: another node leads.
func (p *packer) drop() {
	p.mu.Lock()
	queue := p.queue
	p.queue, p.bytes = nil, 0
	p.mu.Unlock()
	for _, t := range queue {
		if t.taken.CompareAndSwap(false, true) {
			t.done <- settled{err: errNotLeader}
		}
	}
}

// stamp gives the time of an Event; it does not go back while this node runs.
func (p *packer) stamp() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.n.c.clock(); now.After(p.last) {
		p.last = now
	}
	return p.last
}

// apply hands one entry to raft.
func (p *packer) apply(batch []*ticket) raft.ApplyFuture {
	events := make([]vfs.Event, len(batch))
	size, now := wire.Overhead, p.stamp()
	for i, t := range batch {
		events[i] = vfs.Event{Time: now, Request: t.req}
		size += t.size
	}
	// Raft keeps the slice for followers that lag: it is never used again.
	entry := wire.AppendBatch(make([]byte, 0, size), events)
	p.n.metrics.packed(len(batch), len(entry))
	return p.n.raft.Apply(entry, enqueueTime)
}

func (p *packer) propose(batch []*ticket) {
	if p.out.enter() != nil {
		for _, t := range batch {
			t.done <- settled{err: errNotLeader}
		}
		<-p.slots
		return
	}
	handed := time.Now()
	f := p.apply(batch)
	if plantAck {
		for _, t := range batch {
			t.done <- settled{out: vfs.Outcome{Results: make([]vfs.Result, len(t.req.Ops))}}
		}
	}
	go func() { // ends before out is idle
		defer p.out.leave()
		outs, err := await(f, len(batch))
		if <-p.slots; err == nil {
			p.announce(f.Index(), batch)
		}
		p.rouse()
		took := p.n.metrics.entry(&p.n.entries, f, handed, err)
		for i, t := range batch {
			s := settled{err: err, queue: handed.Sub(t.at), took: took}
			if err == nil {
				s.out = outs[i]
			}
			p.n.metrics.proposed(s.queue, time.Since(t.at), err)
			if !plantAck {
				t.done <- s // its caller uses it again
			}
		}
	}()
}

// announce tells followers that an entry is committed: all if nothing follows
// that would, and at once those whose clients wait for it, because what
// follows is synced there first.
func (p *packer) announce(index uint64, batch []*ticket) {
	if p.quiet() {
		p.n.nudges.all(index)
		return
	}
	for _, t := range batch {
		if t.from != "" {
			p.n.nudges.send(t.from, index)
		}
	}
}

// quiet reports whether nothing follows: the next entry would tell followers
// what is committed.
func (p *packer) quiet() bool {
	count, _ := p.queued()
	return count == 0 && len(p.slots) == 0
}

// hold keeps new entries back and waits until none is under way, for at most
// resignTime; ok says that it came to that. What waits in the queue stays
// there until release.
func (p *packer) hold(ctx context.Context) (release func(), ok bool) {
	ctx, cancel := context.WithTimeout(ctx, resignTime)
	defer cancel()
	held := 0
	release = func() {
		for range held {
			<-p.slots
		}
		p.rouse()
	}
	for held < entriesOut {
		select {
		case p.slots <- struct{}{}:
			held++
		case <-ctx.Done():
			return release, false
		}
	}
	return release, true
}

// first proposes the first Event of a term, past the queue.
func (p *packer) first(r vfs.Request) (vfs.Outcome, error) {
	if err := p.out.enter(); err != nil {
		return vfs.Outcome{}, err
	}
	defer p.out.leave()
	outs, err := await(p.apply([]*ticket{{req: r, size: wire.Size(r)}}), 1)
	if err != nil {
		return vfs.Outcome{}, err
	}
	return outs[0], nil
}

// close hands nothing to raft any more and waits for what it has. Raft leaves
// entries that it has not looked at when it is shut down without an answer.
func (p *packer) close() {
	select {
	case <-p.out.shut():
	case <-time.After(stopTime + logDeadline):
		p.n.c.Log.Error("raft does not answer")
	}
}

// await waits for an entry. An *elsewhereError and NoSpace say that it was not
// appended; every other error leaves that open.
func await(f raft.ApplyFuture, events int) ([]vfs.Outcome, error) {
	switch err := f.Error(); {
	case err == nil:
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrEnqueueTimeout),
		errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return nil, &elsewhereError{vfs.Unavailable.With(err.Error())}
	case errors.Is(err, raftlog.ErrNoSpace):
		return nil, errNoSpaceHere
	default:
		return nil, &vfs.Unknown{Cause: err}
	}
	// Raft answers a future also when the state machine failed on its entry.
	outs, ok := f.Response().([]vfs.Outcome)
	if !ok || len(outs) != events {
		err, _ := f.Response().(error)
		return nil, &vfs.Unknown{Cause: errors.Join(errors.New("the state machine gave no outcome"), err)}
	}
	return outs, nil
}
