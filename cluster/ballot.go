package cluster

import (
	"net"
	"sync/atomic"

	"github.com/pfs-project/pfs/raftlog"
)

// ballot is raft's stable store. Raft panics when it cannot save its term. This
// says that it could, once the node has failed: raft is muted by then, so nobody
// hears what it makes of a term or a vote that is not durable, and it goes on to
// answer those who wait until the node has ended.
type ballot struct {
	raftlog.Store
	n *Node
}

// Set keeps a value under a key, or the node fails.
func (b ballot) Set(key, val []byte) error { return b.cast(b.Store.Set(key, val)) }

// SetUint64 is Set of a number.
func (b ballot) SetUint64(key []byte, val uint64) error { return b.cast(b.Store.SetUint64(key, val)) }

func (b ballot) cast(err error) error {
	if err != nil {
		b.n.fail(err) // it has, when this returns
	}
	return nil
}

// mutable is a stream of raft that can be muted.
type mutable struct {
	net.Conn
	muted *atomic.Bool
}

// Write sends nothing once raft is muted.
func (c mutable) Write(b []byte) (int, error) {
	if c.muted.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}
