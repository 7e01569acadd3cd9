package fsm

import (
	"encoding/binary"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
)

// applied says which entry the state is the result of, and the newest raft
// configuration up to it.
type applied struct {
	index, term uint64
	configIndex uint64
	config      []byte // as raft encodes it; nil before the first
}

// rows are what a commit writes beside the changes.
func (a applied) rows() []store.KV {
	out := []store.KV{{Key: []byte(metaApplied), Value: be64(a.index, a.term)}}
	if a.config != nil {
		out = append(out, store.KV{Key: []byte(metaConfig), Value: append(be64(a.configIndex), a.config...)})
	}
	return out
}

func readApplied(v vfs.View) (applied, error) {
	n, _ := getNums(v, []byte(metaApplied), 2)
	a := applied{index: n[0], term: n[1]}
	b, ok := v.Get([]byte(metaConfig))
	if !ok {
		return a, nil
	}
	if len(b) < 8 {
		return a, fmt.Errorf("stored raft configuration is broken")
	}
	a.configIndex, a.config = binary.BigEndian.Uint64(b), b[8:]
	_, err := decodeConfig(a.config)
	return a, err
}

// meta describes the state as a snapshot.
func (a applied) meta(id string, size int64) *raft.SnapshotMeta {
	conf, _ := decodeConfig(a.config)
	return &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, ID: id, Index: a.index, Term: a.term,
		Configuration: conf, ConfigurationIndex: a.configIndex, Size: size}
}

// decodeConfig is raft.DecodeConfiguration with an error for a panic.
func decodeConfig(b []byte) (conf raft.Configuration, err error) {
	if b == nil {
		return conf, nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return raft.DecodeConfiguration(b), nil
}

// LastConfig returns the newest raft configuration that was applied, and the
// index of its entry; 0 if there was none yet.
func (m *Machine) LastConfig() (raft.Configuration, uint64) {
	a := m.appliedNow()
	conf, _ := decodeConfig(a.config)
	return conf, a.configIndex
}

// Installed returns the index at which the state was last installed as a
// whole: no log of this node leads to it. 0 if it never was.
func (m *Machine) Installed() uint64 {
	im := m.Image()
	defer im.Release()
	n, _ := getNums(im.View, []byte(metaWhole), 1)
	return n[0]
}

// wholeRow is the row that says so.
func wholeRow(index uint64) store.KV { return store.KV{Key: []byte(metaWhole), Value: be64(index)} }

// Unlogged notes, durably, that the log has nothing of what led to the present
// state. It is for recovery of a node that does not run.
func (m *Machine) Unlogged() error {
	m.apply.Lock()
	defer m.apply.Unlock()
	if err := m.Failed(); err != nil {
		return err
	}
	if err := m.store.Commit(nil, wholeRow(m.appliedNow().index)); err != nil {
		return err
	}
	return m.store.Sync()
}

// AppliedEntry returns the index and the term of the last entry that is part
// of the state.
func (m *Machine) AppliedEntry() (index, term uint64) {
	at := m.appliedNow()
	return at.index, at.term
}

// Applied returns the index of the last entry that is part of the state.
func (m *Machine) Applied() uint64 { return m.appliedNow().index }

func (m *Machine) appliedNow() applied {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applied
}
