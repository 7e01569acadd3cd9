package cluster

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/raftlog"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// LogEntry is one entry of a node's log, read while the node does not run.
type LogEntry struct {
	Index, Term uint64
	Type        string        // command, configuration, noop, barrier
	Appended    time.Time     // by the leader; zero if it did not say
	Events      []vfs.Event   // command: what it holds, in order
	Servers     []raft.Server // configuration
	// Err says why the entry cannot be read: it is damaged, or of a later
	// version. The other fields but Index are then as far as is known.
	Err error
}

// ReadLog calls each for every entry from the index from on, in order, of the
// log in a node's data directory, and ends with the first error of each. It
// reads one entry at a time and changes nothing. The node must not run; a copy
// of its raft directory will do.
func ReadLog(dataDir string, from uint64, each func(LogEntry) error) (err error) {
	s, err := raftlog.OpenRead(filepath.Join(dataDir, raftDir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	first, err := s.FirstIndex()
	if err != nil {
		return err
	}
	last, err := s.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	for i := max(first, from); i <= last; i++ {
		if err := each(readEntry(s, i)); err != nil {
			return err
		}
	}
	return nil
}

// readEntry reads one entry. Neither bolt nor raft expects damage: both panic.
func readEntry(s raftlog.Store, index uint64) (e LogEntry) {
	e.Index = index
	defer func() {
		if r := recover(); r != nil {
			e.Err = fmt.Errorf("%w: %v", raftlog.ErrCorrupt, r)
		}
	}()
	var l raft.Log
	if e.Err = s.GetLog(index, &l); e.Err != nil {
		return e
	}
	e.Term, e.Appended = l.Term, l.AppendedAt
	switch l.Type {
	case raft.LogCommand:
		e.Type = "command"
		e.Events, e.Err = wire.Batch(l.Data)
	case raft.LogConfiguration:
		e.Type = "configuration"
		e.Servers = raft.DecodeConfiguration(l.Data).Servers
	case raft.LogNoop:
		e.Type = "noop"
	case raft.LogBarrier:
		e.Type = "barrier"
	default:
		e.Err = fmt.Errorf("unknown type %v", l.Type)
	}
	return e
}
