package fsm

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
)

// Image is the state of this node at one index, with the mounts at it. Any
// number of readers share one; each that got it from [Machine.Image] releases
// it, soon: it holds what later Events replace.
type Image struct {
	Table *vfs.Table
	View  vfs.View // of the whole state
	Index uint64   // of the last entry in it
	Seq   uint64   // of the last Event in it
	// Loading says that a backup is being taken in: what is there is neither
	// what was nor what will be.
	Loading bool
	// Stopped says that the machine had stopped before: the store may be closed,
	// and a read of it would panic.
	Stopped bool

	snap *store.Snapshot
	refs atomic.Int64 // readers, and the machine while it is the newest
}

// Image returns the newest state. It is cheap: a snapshot of the store is made
// only if there is none at the applied index yet.
func (m *Machine) Image() *Image {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.newest().Retain()
}

// newest is Image without a Retain for the caller, who holds mu.
func (m *Machine) newest() *Image {
	if m.image == nil {
		snap := m.live.Snapshot()
		i := &Image{Table: m.shown, View: snap, snap: snap, Index: m.applied.index, Stopped: m.failed != nil}
		if m.failed == nil {
			// A commit may be under way: the snapshot itself knows what it has.
			n, _ := getNums(snap, []byte(metaApplied), 2)
			i.Index, i.Seq, i.Loading = n[0], getNum(snap, rowSeq), IsLoading(snap)
			if m.coming.table != nil && n[0] >= m.coming.index {
				i.Table = m.coming.table
			}
		}
		if errors.Is(m.failed, errClosed) {
			return i // nobody would release one that is kept, and the store waits for that
		}
		i.refs.Store(1) // the machine's own
		m.image = i
	}
	return m.image
}

// Retain makes one more Release needed, for a reader that outlives another.
func (i *Image) Retain() *Image {
	i.refs.Add(1)
	return i
}

// Release gives the Image back. It must not be read after.
func (i *Image) Release() {
	if i.refs.Add(-1) == 0 {
		i.snap.Close()
	}
}

// Lookup is [vfs.Table.Lookup] at this index.
func (i *Image) Lookup(ctx context.Context, verb string, p vfs.Path) (vfs.Info, vfs.Path, error) {
	return i.Table.Lookup(ctx, i.View, verb, p)
}

// Resolve is [vfs.Table.Resolve].
func (i *Image) Resolve(ctx context.Context, p vfs.Path, final bool) (vfs.Path, error) {
	return i.Table.Resolve(ctx, i.View, p, final)
}

// List is [vfs.Table.List].
func (i *Image) List(ctx context.Context, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	return i.Table.List(ctx, i.View, p, after, limit)
}

// ReadAt is [vfs.Table.ReadAt].
func (i *Image) ReadAt(ctx context.Context, p vfs.Path, b []byte, off int64) (int, error) {
	return i.Table.ReadAt(ctx, i.View, p, b, off)
}

// Now returns the log's time at this index: that of the last Event.
func (i *Image) Now() time.Time { return timeOf(getNum(i.View, rowTime)) }

// Members returns all nodes that the log has heard of, by id.
func (i *Image) Members() []Member { return Members(i.View) }

// ClusterID returns the cluster's id; "" before the first Begin.
func (i *Image) ClusterID() string { return ClusterID(i.View) }

// dropImage lets readers have a new one. The caller holds mu.
func (m *Machine) dropImage() {
	if m.image != nil {
		m.image.Release()
		m.image = nil
	}
}

// coming is a table that belongs to the state from an index on.
type coming struct {
	index uint64
	table *vfs.Table
}

// announce has the table of a commit ready: an Image that is made while the
// commit is under way may hold the new state or the old.
func (m *Machine) announce(index uint64, table *vfs.Table, devices map[uint64]device) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.coming = coming{index, m.withDevices(table, devices)}
}

// publish shows readers what was committed; devices is nil if the table is the
// same. The caller holds mu.
func (m *Machine) publish(at applied, table *vfs.Table, devices map[uint64]device) {
	m.dropImage()
	if devices != nil {
		for id, d := range m.devices { // SetFS may have been faster
			if made, ok := devices[id]; ok && made.seq == d.seq {
				devices[id] = d
			}
		}
		m.devices, m.shown, m.coming = devices, m.withDevices(table, devices), coming{}
	}
	m.applied = at
	m.waiters.reached(at.index)
	m.settle(at.index)
}

// Counted reports whether a chunk must be kept; see the function of that name.
func (m *Machine) Counted(hash [32]byte) bool {
	i := m.Image()
	defer i.Release()
	return Counted(i.View, hash)
}
