package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// stopTime bounds each step of stopping that waits for others.
const stopTime = 10 * time.Second

// resignTime bounds the wait for entries under way before leadership is handed
// over.
const resignTime = 2 * time.Second

// gate counts the calls under way and lets no more in once it is shut.
type gate struct {
	mu     sync.Mutex
	count  int
	isShut bool
	idle   chan struct{} // closed once it is shut and nothing is under way
}

// enter lets a call in; it must leave.
func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isShut {
		return vfs.Unavailable.With("this node is stopping")
	}
	g.count++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count--
	if g.isShut && g.count == 0 {
		close(g.idle)
	}
}

// shut lets nobody in any more; the channel is closed once all have left.
func (g *gate) shut() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.isShut {
		g.isShut, g.idle = true, make(chan struct{})
		if g.count == 0 {
			close(g.idle)
		}
	}
	return g.idle
}

// crew is goroutines that are waited for. None is spawned once that begins.
type crew struct {
	catch func() // deferred in each; nil for nothing

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// spawn runs f in a goroutine; false if it is too late.
func (c *crew) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.wg.Go(func() {
			if c.catch != nil {
				defer c.catch()
			}
			f()
		})
	}
	return !c.closed
}

func (c *crew) wait() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.wg.Wait()
}

// Stop ends the node: it refuses new calls, hands leadership over, waits for
// calls under way, at most ten seconds or until ctx is done, makes the state
// durable and closes everything. Images must be released. A second Stop waits
// for the first.
func (n *Node) Stop(ctx context.Context) error {
	n.once.Do(func() { n.stopErr = n.stop(ctx) })
	return n.stopErr
}

func (n *Node) stop(ctx context.Context) error {
	idle := n.gate.shut()
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	n.resign() // calls under way go on at the new leader
	select {
	case <-idle:
	case <-ctx.Done():
		n.c.Log.Warn("stopping with calls under way")
	}
	n.desk.drain(ctx)
	n.cancel()
	return n.close()
}

// resign hands leadership over, if there is somebody to take it. First all
// entries that raft has are answered: it would not say what became of them.
func (n *Node) resign() {
	if n.reign.Load() == nil || n.Failed() != nil || len(n.voters()) < 2 {
		return
	}
	select {
	case <-n.pack.out.shut():
	case <-time.After(resignTime):
	}
	if err := n.raft.LeadershipTransfer().Error(); err != nil {
		n.c.Log.Warn("leadership is not handed over", "error", err)
	}
}

// endRaft stops raft. Should a write to its log hang, it does not wait for ever,
// and the stores must be left as they are.
func (n *Node) endRaft() error {
	n.logs.Release()
	done := make(chan error, 1)
	go func() { done <- n.raft.Shutdown().Error() }() // ends with raft, or with the process
	select {
	case err := <-done:
		return err
	case <-time.After(stopTime + logDeadline):
		return errors.New("raft does not end: a write to its log hangs")
	}
}

// close closes what is open, in the order of dependence.
func (n *Node) close() error {
	var errs []error
	if n.peers != nil {
		n.peers.close()
	}
	if n.vol != nil {
		n.vol.Close() // nothing waits for space any more
	}
	if n.raft != nil {
		n.pack.close()
		if err := n.endRaft(); err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
	if n.mux != nil {
		n.mux.close()
	}
	n.crew.wait()
	if n.machine != nil {
		errs = append(errs, n.machine.Close())
	}
	if n.logs != nil {
		errs = append(errs, n.logs.Close())
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	return errors.Join(errs...)
}
