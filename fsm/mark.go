package fsm

import (
	"context"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/vfs"
)

// mark is a reader who waits for the state at one index exactly. The channel
// gets an Image, or nil if that state will not be seen here any more.
type mark struct {
	index uint64
	got   chan *Image
}

// ImageAt waits until the state is that of an index, and returns it. Nodes that
// apply entries in different batches see different states on their way; this
// one they all have. It fails with the context's error, with Conflict if later
// entries are applied already, or with Unavailable once the machine has stopped.
func (m *Machine) ImageAt(ctx context.Context, index uint64) (*Image, error) {
	m.mu.Lock()
	switch {
	case m.failed != nil:
		m.mu.Unlock()
		return nil, errStopped
	case m.applied.index >= index:
		defer m.mu.Unlock()
		if m.applied.index > index {
			return nil, errPassed
		}
		return m.newest().Retain(), nil
	}
	k := &mark{index, make(chan *Image, 1)}
	m.marks = append(m.marks, k)
	m.mu.Unlock()
	select {
	case i := <-k.got:
		if i != nil {
			return i, nil
		}
		if m.Failed() != nil {
			return nil, errStopped
		}
		return nil, errPassed
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for j, o := range m.marks {
		if o == k {
			m.marks = append(m.marks[:j], m.marks[j+1:]...)
			return nil, ctx.Err()
		}
	}
	if i := <-k.got; i != nil { // it came just now
		i.Release()
	}
	return nil, ctx.Err()
}

var errStopped = vfs.Unavailable.With("state machine has stopped")

var errPassed = vfs.Conflict.With("later entries are applied already")

// settle answers the marks up to an index to which the state is that of the
// applied one. The caller holds mu.
func (m *Machine) settle(upTo uint64) {
	left := m.marks[:0]
	for _, k := range m.marks {
		switch {
		case k.index > upTo:
			left = append(left, k)
		case k.index < m.applied.index || m.failed != nil:
			k.got <- nil
		default:
			k.got <- m.newest().Retain()
		}
	}
	clear(m.marks[len(left):])
	m.marks = left
}

// untilMark returns how many of logs may be committed at once, so that every
// marked state is one that is committed. The caller holds apply.
func (m *Machine) untilMark(logs []*raft.Log) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if before := logs[0].Index - 1; before >= m.applied.index {
		m.settle(before)
	}
	n := len(logs)
	for _, k := range m.marks {
		for n > 1 && logs[n-1].Index > k.index {
			n--
		}
	}
	return n
}
