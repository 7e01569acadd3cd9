package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pfs-project/pfs/blob"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

const (
	fetchers   = 3               // chunks fetched at once in the background
	fetchDelay = time.Second     // an upload may still be bringing it
	fetchRetry = 5 * time.Second // after no node had it
	maxMissing = 1 << 17         // hashes in memory; past that the state is read again
)

// ReadChunk fills b from the slice ref, starting off bytes into it. A chunk
// that this node lacks, or holds damaged, is fetched from another and kept.
// Unavailable says that no node that can be reached has it.
func (n *Node) ReadChunk(ctx context.Context, ref vfs.ChunkRef, b []byte, off int64) error {
	if off < 0 || off+int64(len(b)) > int64(ref.Len) {
		return vfs.Range.With("outside of the chunk")
	}
	if ref.Hash == ([32]byte{}) {
		clear(b)
		return nil
	}
	at := int64(ref.Off) + off
	err := n.blobs.ReadAt(ref.Hash, b, at)
	if err == nil {
		return nil
	}
	if !lacking(err) {
		return vfs.Unavailable.Withf("content cannot be read on this node: %v", err)
	}
	data, err := n.missing.fetch(ctx, ref.Hash)
	if err != nil {
		return vfs.Unavailable.Withf("content is not here and cannot be fetched: %v", err)
	}
	if data != nil && at+int64(len(b)) <= int64(len(data)) { // there is no space for it here
		copy(b, data[at:])
		return nil
	}
	if err := n.blobs.ReadAt(ref.Hash, b, at); err != nil {
		return vfs.Unavailable.Withf("content cannot be read on this node: %v", err)
	}
	return nil
}

func lacking(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, blob.ErrCorrupt)
}

// missing is the chunks that this node should have and lacks, as far as it
// knows.
type missing struct {
	n    *Node
	wake chan struct{}
	pace *pacer // of what is fetched in the background

	mu      sync.Mutex
	due     map[[32]byte]time.Time // when to look at it
	taken   map[[32]byte]bool      // due before, and being looked at
	lacked  int                    // what lacking said last,
	lookAt  time.Time              // and when it looks again
	all     bool                   // read the whole state instead
	flights map[[32]byte]*flight
}

// flight is a chunk being fetched.
type flight struct {
	done chan struct{}
	data []byte // the whole chunk, if it could not be kept for want of space
	err  error
}

func newMissing(n *Node) *missing {
	return &missing{n: n, wake: make(chan struct{}, 1), pace: &pacer{rate: n.c.SnapshotRate}, all: true,
		due: map[[32]byte]time.Time{}, taken: map[[32]byte]bool{}, flights: map[[32]byte]*flight{}}
}

// add takes note of chunks that are newly referred to. It does not block.
func (m *missing) add(hashes [][32]byte) {
	at := time.Now().Add(fetchDelay)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range hashes {
		if len(m.due) >= maxMissing {
			m.all = true
			break
		}
		m.due[h] = at
	}
}

// rescan has the whole state looked at again. It does not block.
func (m *missing) rescan() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = true
}

// mostLooked bounds how many chunks lacking looks for on disk.
const (
	mostLooked = 512
	lackingFor = 200 * time.Millisecond // what was found holds
)

// lacking returns how many chunks this node should have and, as far as it
// knows, does not have. It is never less than that, and may be more.
func (m *missing) lacking() int {
	m.mu.Lock()
	if time.Now().Before(m.lookAt) {
		defer m.mu.Unlock()
		return m.lacked
	}
	hashes := make([][32]byte, 0, mostLooked)
	left := len(m.due) + len(m.taken)
	for h := range m.due { // any order
		if len(hashes) < mostLooked {
			hashes = append(hashes, h)
		}
	}
	for h := range m.taken { // any order
		if len(hashes) < mostLooked {
			hashes = append(hashes, h)
		}
	}
	all := m.all
	m.mu.Unlock()
	for _, h := range hashes {
		if m.n.blobs.Has(h) {
			left--
		}
	}
	if all {
		left++ // nobody has looked yet
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lacked, m.lookAt = left, time.Now().Add(lackingFor)
	return left
}

// run fetches what is missing until ctx is done.
func (m *missing) run(ctx context.Context) {
	work := make(chan [32]byte)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(work)
	for range fetchers {
		wg.Go(func() {
			for h := range work {
				m.get(ctx, h)
			}
		})
	}
	for pause(ctx, fetchDelay/4) {
		m.scan()
		for _, h := range m.ready() {
			select {
			case work <- h:
			case <-ctx.Done():
				return
			}
		}
	}
}

// scan reads the state for chunks that are not here, if that is due.
func (m *missing) scan() {
	m.mu.Lock()
	all := m.all && len(m.due) < maxMissing/2
	if all {
		m.all = false
	}
	m.mu.Unlock()
	if !all {
		return
	}
	im := m.n.machine.Image()
	defer im.Release()
	var lacked [][32]byte
	for hash, count := range fsm.Chunks(im.View) {
		if count > 0 && !m.n.blobs.Has(hash) {
			lacked = append(lacked, hash)
		}
		if len(lacked) > maxMissing/2 {
			m.rescan()
			break
		}
	}
	m.add(lacked)
}

// ready removes and returns what is due now.
func (m *missing) ready() [][32]byte {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	var out [][32]byte
	for h, at := range m.due {
		if at.Before(now) {
			out = append(out, h)
			delete(m.due, h)
			m.taken[h] = true
		}
	}
	return out
}

func (m *missing) get(ctx context.Context, hash [32]byte) {
	defer m.done(hash)
	if m.n.blobs.Has(hash) || !m.n.machine.Counted(hash) {
		return
	}
	if m.n.vol.Full() {
		m.later(hash)
		return
	}
	if _, err := m.fetch(ctx, hash); err != nil && ctx.Err() == nil {
		m.n.c.Log.Debug("chunk is not fetched", "hash", fmt.Sprintf("%x", hash[:8]), "error", err)
		m.later(hash)
		return
	}
	if size, err := m.n.blobs.Size(hash); err == nil {
		m.pace.wait(int(size), ctx.Done()) // clients come first
	}
}

func (m *missing) later(hash [32]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.due[hash] = time.Now().Add(fetchRetry)
}

func (m *missing) done(hash [32]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.taken, hash)
}

// fetch brings a chunk here. Who asks while it is under way shares it. The
// chunk itself is returned only if there is no space to keep it.
func (m *missing) fetch(ctx context.Context, hash [32]byte) ([]byte, error) {
	m.mu.Lock()
	f := m.flights[hash]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		m.flights[hash] = f
		fly := func() {
			// Its end must not depend on who happened to ask first.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), spreadTime)
			defer cancel()
			f.data, f.err = m.n.fetchAny(ctx, hash)
			m.mu.Lock()
			delete(m.flights, hash)
			m.mu.Unlock()
			close(f.done)
		}
		if !m.n.crew.spawn(fly) {
			delete(m.flights, hash)
			m.mu.Unlock()
			return nil, errStopping
		}
	}
	m.mu.Unlock()
	select {
	case <-f.done:
		return f.data, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fetchAny asks the other nodes in any order; see fetch.
func (n *Node) fetchAny(ctx context.Context, hash [32]byte) (data []byte, err error) {
	err = errors.New("no other node")
	servers := n.configuration().Servers
	for _, i := range rand.Perm(len(servers)) {
		id := string(servers[i].ID)
		if id == n.id {
			continue
		}
		to, ok := n.book.find(id)
		if !ok {
			continue
		}
		if data, err = n.fetchFrom(ctx, to, hash); err == nil || ctx.Err() != nil {
			return data, err
		}
	}
	return nil, err
}

func (n *Node) fetchFrom(ctx context.Context, to target, hash [32]byte) ([]byte, error) {
	wait, stop := context.WithTimeout(ctx, memWait)
	defer stop()
	if err := n.chunkMem.take(wait, vfs.ChunkSize); err != nil {
		n.metrics.throttled.Inc()
		return nil, vfs.Throttled.With("too much content is on its way in")
	}
	defer n.chunkMem.give(vfs.ChunkSize)
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	data, err := n.peers.call(ctx, to, bulk, callFetch, hash[:])
	if err != nil {
		return nil, err
	}
	if blob.Sum(data) != hash {
		return nil, fmt.Errorf("node %s gave another chunk", to.id)
	}
	n.metrics.fetched.Add(float64(len(data)))
	switch err := n.keepHere(hash, data, false); {
	case vfs.KindOf(err) == vfs.NoSpace:
		return data, nil
	default:
		return nil, err
	}
}

// serveFetch answers a whole chunk.
func (n *Node) serveFetch(ctx context.Context, _ string, b []byte) (reply, error) {
	if len(b) != 32 {
		return reply{}, vfs.Invalid.With("not a hash")
	}
	hash := [32]byte(b)
	size, err := n.blobs.Size(hash)
	if err != nil || size > vfs.ChunkSize {
		return reply{}, vfs.NotFound.With("chunk is not here")
	}
	wait, cancel := context.WithTimeout(ctx, memWait)
	defer cancel()
	if err := n.callMem.take(wait, size); err != nil {
		return reply{}, vfs.Throttled
	}
	buf := n.buffers.get(int(size))
	buf.held, buf.size = n.callMem, size
	if err := n.blobs.ReadAt(hash, buf.b[:size], 0); err != nil {
		buf.free()
		if errors.Is(err, blob.ErrCorrupt) {
			n.missing.add([][32]byte{hash})
		}
		return reply{}, vfs.NotFound.With("chunk cannot be read here")
	}
	return reply{payload: buf.b[:size], held: buf}, nil
}
