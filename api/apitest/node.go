// Package apitest is the API over a node in memory: a state machine on a store
// without a disk, to which every proposal is applied at once.
//
// It is for tests of the API and of what stands on it. Its index and seq rise
// as those of a cluster of one; nothing survives its end.
package apitest

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/blob"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// Node is an api.Node in memory.
type Node struct {
	Machine *fsm.Machine

	mu     sync.Mutex // one proposal at a time
	index  uint64
	clock  time.Time
	refuse func(vfs.Request) error
	after  func(vfs.Request) error

	blindMu sync.Mutex // mu is held where a proposal is answered, and there are reads meanwhile
	blind   error

	chunkMu sync.Mutex
	chunks  map[[32]byte][]byte

	peers    map[uint16]string
	number   uint16
	notReady error
}

// ID returns "test".
func (n *Node) ID() string { return "test" }

// Number returns the number that handles carry, 1 unless SetNumber changed it.
func (n *Node) Number() uint16 { return n.number }

// SetNumber makes this the node with a number, and tells it where others are.
// Before the first request only.
func (n *Node) SetNumber(number uint16, peers map[uint16]string) { n.number, n.peers = number, peers }

// Peer returns the URL of another node.
func (n *Node) Peer(number uint16) (string, bool) {
	u, ok := n.peers[number]
	return u, ok
}

// API returns the URL of another node.
func (n *Node) API(string) (string, bool) { return "", false }

// MountStates returns those of this node.
func (n *Node) MountStates(context.Context) map[string]map[vfs.Path]vfs.MountState {
	return map[string]map[vfs.Path]vfs.MountState{n.ID(): n.Machine.MountStates()}
}

// Ready returns what SetReady was given.
func (n *Node) Ready() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.notReady
}

// SetReady makes Ready return err.
func (n *Node) SetReady(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notReady = err
}

// Refuse makes f decide about every proposal before it is applied: what it
// returns is the answer. nil applies all again.
func (n *Node) Refuse(f func(vfs.Request) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refuse = f
}

// After makes f decide about the answer to every proposal that was applied: an
// error in its place is an outcome that was lost.
func (n *Node) After(f func(vfs.Request) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.after = f
}

// Blind makes Image return err; nil lets it see again.
func (n *Node) Blind(err error) {
	n.blindMu.Lock()
	defer n.blindMu.Unlock()
	n.blind = err
}

// Propose applies r at once.
func (n *Node) Propose(ctx context.Context, r vfs.Request) (vfs.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return vfs.Outcome{}, vfs.Unavailable.With(err.Error())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuse != nil {
		if err := n.refuse(r); err != nil {
			return vfs.Outcome{}, err
		}
	}
	if n.clock = n.clock.Add(time.Millisecond); n.clock.Before(time.Now()) {
		n.clock = time.Now()
	}
	n.index++
	out := n.Machine.ApplyBatch([]*raft.Log{{Index: n.index, Term: 1, Type: raft.LogCommand,
		Data: wire.AppendBatch(nil, []vfs.Event{{Time: n.clock, Request: r}})}})
	outcomes, ok := out[0].([]vfs.Outcome)
	if !ok {
		return vfs.Outcome{}, &vfs.Unknown{Cause: errors.New("machine has stopped")}
	}
	if n.after != nil {
		if err := n.after(r); err != nil {
			return vfs.Outcome{}, err
		}
	}
	return outcomes[0], nil
}

// Keep keeps the content inline or as chunks in memory.
func (n *Node) Keep(_ context.Context, r io.Reader, max int64) (vfs.Content, error) {
	var c vfs.Content
	var all []byte
	for {
		buf := make([]byte, vfs.ChunkSize)
		k, err := io.ReadFull(r, buf)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return vfs.Content{}, err
		}
		last := err != nil
		c.Size += int64(k)
		if max > 0 && c.Size > max || len(c.Refs) == vfs.MaxRefs {
			return vfs.Content{}, vfs.TooLarge
		}
		all = append(all, buf[:k]...)
		if last && len(c.Refs) == 0 && c.Size <= vfs.MaxInline {
			c.Data = buf[:k]
		} else if k > 0 {
			c.Refs = append(c.Refs, n.put(buf[:k]))
		}
		if last {
			c.Sum = blob.Sum(all)
			return c, nil
		}
	}
}

func (n *Node) put(b []byte) vfs.ChunkRef {
	h := blob.Sum(b)
	n.chunkMu.Lock()
	defer n.chunkMu.Unlock()
	n.chunks[h] = b
	return vfs.ChunkRef{Hash: h, Len: uint32(len(b))}
}

// ReadChunk reads from a chunk in memory.
func (n *Node) ReadChunk(_ context.Context, ref vfs.ChunkRef, b []byte, off int64) error {
	n.chunkMu.Lock()
	defer n.chunkMu.Unlock()
	c, ok := n.chunks[ref.Hash]
	from := int64(ref.Off) + off
	if !ok || from+int64(len(b)) > int64(len(c)) {
		return vfs.Internal.With("chunk is missing")
	}
	copy(b, c[from:])
	return nil
}

// Do runs an Op of a Device here.
func (n *Node) Do(ctx context.Context, m vfs.Mounted, op vfs.Op) (vfs.Result, error) {
	d, ok := m.FS.(vfs.Device)
	if !ok {
		return vfs.Result{}, vfs.Unavailable.With("mount is not up")
	}
	return d.Do(ctx, op)
}

// Put writes a whole file of a Device here.
func (n *Node) Put(ctx context.Context, m vfs.Mounted, op vfs.Op, r io.Reader) (vfs.Result, error) {
	d, ok := m.FS.(vfs.Putter)
	if !ok {
		return vfs.Result{}, vfs.Unsupported
	}
	return d.Put(ctx, op, r)
}

// Image returns the state, once it has reached the index that l asks for.
func (n *Node) Image(ctx context.Context, l vfs.Level) (*fsm.Image, error) {
	n.blindMu.Lock()
	blind := n.blind
	n.blindMu.Unlock()
	if blind != nil {
		return nil, blind
	}
	if err := n.wait(ctx, l.MinIndex, l.Wait); err != nil {
		return nil, err
	}
	return n.Machine.Image(), nil
}

func (n *Node) wait(ctx context.Context, index uint64, d time.Duration) error {
	if d == 0 {
		d = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := n.Machine.Wait(ctx, index)
	if errors.Is(err, context.DeadlineExceeded) {
		return vfs.Timeout.Withf("this node has not applied index %d yet", index)
	}
	return err
}

// Sums returns the hashes of the state.
func (n *Node) Sums(ctx context.Context, index uint64) (fsm.Sums, error) {
	if err := n.wait(ctx, index, 0); err != nil {
		return fsm.Sums{}, err
	}
	return n.Machine.Sums(ctx)
}

// MountSums returns the hashes of the state and of each mount.
func (n *Node) MountSums(ctx context.Context, index uint64) (fsm.Sums, []fsm.MountSum, error) {
	if err := n.wait(ctx, index, 0); err != nil {
		return fsm.Sums{}, nil, err
	}
	im := n.Machine.Image()
	defer im.Release()
	return im.Sums(ctx, true)
}

// Watch has hear called when a row of the state changes.
func (n *Node) Watch(row []byte, hear func()) (stop func()) { return n.Machine.Watch(row, hear) }

// Tick does what time has brought by now, as a leader would: it proposes what
// the mounts ask for, once.
func (n *Node) Tick(ctx context.Context) error {
	img := n.Machine.Image()
	defer img.Release()
	for _, m := range img.Table.Mounts() {
		clock, ok := m.FS.(vfs.Timer)
		if !ok {
			continue
		}
		ops, _ := clock.Due(vfs.Sub(img.View, vfs.MountPrefix(m.ID)), time.Now())
		for _, op := range ops {
			op.Mount, op.Path = m.ID, m.Path.Join(op.Path)
			out, err := n.Propose(ctx, vfs.Request{Ops: []vfs.Op{op}})
			if err = errors.Join(err, out.Err); err != nil {
				return err
			}
		}
	}
	return nil
}
