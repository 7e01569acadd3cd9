package streamfs

import (
	"context"
	"io"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// pieceSize is how many bytes of a body are appended at once, at most: those of
// two bodies do not mix within a piece.
const pieceSize = blockMost

// Do makes one change. A Write appends, whatever its offset, and may make the
// stream; Truncate, with which a shell may begin, changes nothing.
func (m *Memory) Do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	if !verbs.Has(op.Verb) || len(op.Refs) > 0 {
		return vfs.Result{}, vfs.Unsupported
	}
	if op.Path == readmePath {
		return vfs.Result{}, vfs.Permission.With("README is read-only")
	}
	switch op.Verb {
	case vfs.Remove, vfs.RemoveAll:
		return vfs.Result{}, m.remove(op)
	case vfs.Write:
		n, err := m.name(op)
		if err != nil {
			return vfs.Result{}, err
		}
		return m.append(ctx, n, op.Data)
	}
	n, err := m.name(op)
	if err != nil {
		return vfs.Result{}, err
	}
	return m.result(n, 0), nil
}

// Put appends what r has, piece by piece as it comes. What was appended stays,
// also when r fails.
func (m *Memory) Put(ctx context.Context, op vfs.Op, r io.Reader) (vfs.Result, error) {
	if op.Path == readmePath {
		return vfs.Result{}, vfs.Permission.With("README is read-only")
	}
	n, err := m.name(op)
	if err != nil {
		return vfs.Result{}, err
	}
	piece := m.buffers.Get().(*[pieceSize]byte)
	defer m.buffers.Put(piece)
	sum := int64(0)
	for {
		k, rerr := r.Read(piece[:])
		if k > 0 {
			if _, err := m.append(ctx, n, piece[:k]); err != nil {
				return vfs.Result{N: sum}, err
			}
			sum += int64(k)
		}
		if rerr == io.EOF {
			return m.result(n, sum), nil
		}
		if rerr != nil {
			return vfs.Result{N: sum}, rerr
		}
	}
}

var errEnded = vfs.Unavailable.With("the write was ended: the mount has gone, or the writer")

// append puts bytes behind the end of a stream. It waits until the clock is there.
func (m *Memory) append(ctx context.Context, n *node, p []byte) (vfs.Result, error) {
	sum := int64(len(p))
	for {
		if ctx.Err() != nil { // who waits for a body does not hear of it
			return vfs.Result{}, errEnded
		}
		piece := p[:min(len(p), pieceSize)]
		later, err := n.live.append(piece, m.clock())
		switch {
		case err != nil:
			return vfs.Result{}, err
		case later > 0:
			select {
			case <-time.After(time.Duration(later)):
			case <-ctx.Done():
				return vfs.Result{}, errEnded
			}
			continue
		}
		if p = p[len(piece):]; len(p) == 0 {
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if sum > 0 {
		m.touch(n)
	}
	return vfs.Result{N: sum, Version: n.version}, nil
}

func (m *Memory) result(n *node, bytes int64) vfs.Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	return vfs.Result{N: bytes, Version: n.version}
}

// touch notes a change; the caller holds mu.
func (m *Memory) touch(n *node) {
	m.version++
	n.version, n.changed = m.version, time.Now().UTC()
}

// name finds the stream that op is of, or makes it, with the directories above.
func (m *Memory) name(op vfs.Op) (*node, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(op.Path)
	if err != nil && vfs.KindOf(err) != vfs.NotFound {
		return nil, err
	}
	if err := m.allows(n, op.If); err != nil {
		return nil, err
	}
	makes := op.Verb == vfs.Create || op.Verb == vfs.Touch || op.Flag&vfs.FlagCreate != 0
	switch {
	case m.closed:
		return nil, errUnmounted
	case n == nil && makes:
		return m.make(op)
	case n == nil:
		return nil, err
	case op.Verb == vfs.Create, op.Flag&vfs.FlagExclusive != 0:
		return nil, vfs.Exists
	case op.Verb == vfs.Touch:
		m.touch(n)
	case n.live == nil:
		return nil, vfs.IsDirectory
	}
	return n, nil
}

// allows holds a condition against what is there; nil: nothing.
func (m *Memory) allows(n *node, c vfs.Cond) error {
	now := uint64(0)
	if n != nil {
		now = n.version
	}
	ok := true
	switch c.Kind {
	case vfs.IfAbsent:
		ok = n == nil
	case vfs.IfExists:
		ok = n != nil
	case vfs.IfVersion:
		ok = n != nil && now == c.Version
	case vfs.Always:
	}
	if !ok {
		return &vfs.Error{Kind: vfs.Stale, Version: now}
	}
	return nil
}

// make makes a stream. The caller holds mu, and nothing is there.
func (m *Memory) make(op vfs.Op) (*node, error) {
	names := op.Path.Elems()
	cost, missing := int64(0), m.root
	for _, name := range names {
		if missing != nil {
			missing = missing.below[name]
		}
		if missing == nil {
			cost += (&node{name: name}).cost()
		}
	}
	if !m.held.take(cost) {
		return nil, errFull
	}
	at := m.root
	for i, name := range names {
		below := at.below[name]
		if below == nil {
			below = &node{name: name}
			if i < len(names)-1 {
				below.mode, below.below = vfs.ModeDir|0o755, map[string]*node{}
			}
			at.below[name] = below
			m.touch(below)
			m.touch(at)
		}
		at = below
	}
	if at.mode = op.Mode.Perm(); at.mode == 0 {
		at.mode = 0o644
	}
	if at.live = m.awaited[op.Path]; at.live == nil {
		at.live = m.newLive()
	}
	delete(m.awaited, op.Path)
	return at, nil
}

// remove ends a stream, or takes a directory away; with RemoveAll, all below it.
func (m *Memory) remove(op vfs.Op) error {
	if op.Path.IsRoot() {
		return vfs.Permission.With("mount point")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(op.Path)
	if err != nil && vfs.KindOf(err) != vfs.NotFound {
		return err
	}
	if cerr := m.allows(n, op.If); cerr != nil {
		return cerr
	}
	switch {
	case err != nil:
		return err
	case op.Verb == vfs.Remove && len(n.below) > 0:
		return vfs.NotEmpty
	}
	dir, err := m.find(op.Path.Dir())
	if err != nil {
		return err
	}
	delete(dir.below, n.name)
	m.touch(dir)
	m.end(n, errRemoved)
	m.next = m.clock() // behind all that was written
	return nil
}

// end ends all streams from n on. The caller holds mu.
func (m *Memory) end(n *node, why error) {
	m.held.give(n.cost())
	if n.live != nil {
		n.live.finish(why)
	}
	for _, below := range n.below { // any order
		m.end(below, why)
	}
}
