package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/fsm"
)

// installs takes snapshots off the network, one at a time, before raft hears
// of them: raft does nothing else while it installs one, and so would neither
// vote nor answer for as long as a network takes.
type installs struct {
	n *Node

	mu  sync.Mutex
	now *arrival // nil for none
}

// arrival is a snapshot that arrives.
type arrival struct {
	end  func() // breaks it off
	done chan struct{}
	got  *fsm.Received
}

var errOlder = errors.New("the snapshot is older than the state of this node")

// begin makes a snapshot the one that arrives. One that does already is broken
// off: the leader, or a new one, has begun again.
func (i *installs) begin(end func()) *arrival {
	a := &arrival{end: end, done: make(chan struct{})}
	for {
		i.mu.Lock()
		before := i.now
		if before == nil {
			i.now = a
			i.mu.Unlock()
			return a
		}
		i.mu.Unlock()
		before.end()
		<-before.done
	}
}

// over lets go of what is left of an arrival.
func (i *installs) over(a *arrival) {
	if a.got != nil {
		if err := a.got.Discard(); err != nil {
			i.n.c.Log.Warn("a snapshot that arrived is not removed", "error", err)
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.now = nil
	close(a.done)
}

// install takes a snapshot from a stream and has raft install it.
func (i *installs) install(ctx context.Context, req *raft.InstallSnapshotRequest, from io.Reader, end func()) (resp raft.RPCResponse) {
	start, a := time.Now(), i.begin(end)
	defer i.over(a)
	log := i.n.c.Log.With("index", req.LastLogIndex, "bytes", req.Size)
	defer func() {
		if resp.Error != nil && ctx.Err() == nil {
			i.n.metrics.installs.WithLabelValues("failed").Inc()
			log.Warn("a snapshot from the leader is not installed", "error", resp.Error)
		}
	}()
	log.Info("a snapshot arrives from the leader")
	if err := i.receive(a, req, from); err != nil {
		return raft.RPCResponse{Error: err}
	}
	received := time.Since(start)
	if err := i.forget(ctx, req); err != nil {
		return raft.RPCResponse{Error: err}
	}
	token := a.got.Token()
	short := *req
	short.Size = int64(len(token))
	done := i.n.logs.Installing()
	resp = i.n.net.hand(ctx, raft.RPC{Command: &short, Reader: bytes.NewReader(token)})
	done()
	if r, ok := resp.Response.(*raft.InstallSnapshotResponse); ok && r.Success && resp.Error == nil {
		i.n.metrics.installs.WithLabelValues("installed").Inc()
		i.n.metrics.install.Observe(time.Since(start).Seconds())
		log.Info("the snapshot is installed", "received", received.Round(time.Millisecond), "took", time.Since(start).Round(time.Millisecond))
	}
	return resp
}

// receive unpacks and verifies what arrives.
func (i *installs) receive(a *arrival, req *raft.InstallSnapshotRequest, from io.Reader) error {
	if req.LastLogIndex < i.n.machine.Applied() {
		return errOlder
	}
	counted := &counting{r: io.LimitReader(from, req.Size), add: i.n.metrics.received.Add}
	var err error
	if a.got, err = i.n.machine.Receive(counted); err != nil {
		return err
	}
	if counted.n != req.Size {
		return fmt.Errorf("a snapshot of %d bytes, not of %d", counted.n, req.Size)
	}
	if req.LastLogIndex < i.n.machine.Applied() {
		return errOlder
	}
	return nil
}

// forget has raft forget entries that contradict the snapshot; see
// raftlog.Watched.Conflict. It is as if the leader had sent an entry that they
// have to give way to.
func (i *installs) forget(ctx context.Context, req *raft.InstallSnapshotRequest) error {
	if err := i.n.net.order.take(ctx, everyRequest); err != nil {
		return err
	}
	defer i.n.net.order.give(everyRequest)
	keep, stale, err := i.n.logs.Conflict(req.LastLogIndex, req.LastLogTerm)
	switch {
	case stale:
		return errOlder
	case err != nil || keep == nil || i.n.c.noForget:
		return err
	}
	i.n.c.Log.Warn("entries of the log contradict the snapshot: they were never committed, and go", "after", keep.Index)
	done := i.n.logs.Forget(keep)
	defer done()
	resp := i.n.net.raftly(raft.RPC{Command: &raft.AppendEntriesRequest{
		RPCHeader: req.RPCHeader, Term: req.Term, Leader: req.Leader, Entries: []*raft.Log{keep},
	}})
	if r, ok := resp.Response.(*raft.AppendEntriesResponse); resp.Error != nil || !ok || !r.Success {
		return errors.Join(errors.New("raft does not forget what contradicts the snapshot"), resp.Error)
	}
	return nil
}

// counting counts the bytes that are read through it.
type counting struct {
	r   io.Reader
	n   int64
	add func(float64)
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	c.add(float64(n))
	return n, err
}
