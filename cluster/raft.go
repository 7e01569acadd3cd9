package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/raftlog"
	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/volume"
)

const (
	maxAppend     = 64 // entries in one message between rafts; each up to vfs.MaxEntry
	trailingLogs  = 10240
	snapThreshold = 8192
	snapInterval  = 30 * time.Second
	logCache      = 32 << 20 // bytes of recent entries in memory
	logDeadline   = 10 * time.Second
	roleChanges   = 32            // that may wait to be noticed
	currentTerm   = "CurrentTerm" // where raft keeps its term
)

// logStore is a kind of log store, and how often it syncs for one append.
type logStore struct {
	open  func(disk store.FS, dir string) (raftlog.Store, error)
	syncs float64
}

var logStores = map[string]logStore{
	// Its pages, then the page that makes them count. It knows the system's disk only.
	raftlog.Bolt:   {func(_ store.FS, dir string) (raftlog.Store, error) { return raftlog.OpenBolt(dir) }, 2},
	raftlog.Pebble: {func(disk store.FS, dir string) (raftlog.Store, error) { return raftlog.OpenPebble(dir, disk) }, 1},
}

// logKind is the log store that this node was told to have, or the one that is in
// its directory, or the one that new directories get.
func (n *Node) logKind(dir string) (logStore, error) {
	found, err := raftlog.Found(dir, n.c.disk.files)
	if err != nil {
		return logStore{}, spoils(n.c.Dir, fmt.Errorf("raft log in %s: %w", dir, err))
	}
	name := n.c.LogStore
	switch {
	case name == "" && len(found) == 0:
		name = raftlog.Pebble
	case name == "" && len(found) == 1:
		name = found[0]
	case name == "":
		return logStore{}, fmt.Errorf("%w: %s has raft logs of %s: say with log_store which one this node has used", ErrDirectory, dir, strings.Join(found, " and of "))
	case len(found) > 0 && !slices.Contains(found, name):
		return logStore{}, fmt.Errorf("%w: the raft log in %s is one of %s, not of %s: leave log_store out, and the node goes on with it", ErrDirectory, dir, found[0], name)
	}
	kind, ok := logStores[name]
	if !ok {
		return kind, fmt.Errorf("log store %q is not known", name)
	}
	return kind, nil
}

func (n *Node) openLog() error {
	dir := filepath.Join(n.c.Dir, raftDir)
	kind, err := n.logKind(dir)
	if err != nil {
		return err
	}
	s, err := kind.open(n.vol.FS(n.c.disk.files), dir)
	if err != nil {
		return spoils(n.c.Dir, err)
	}
	n.shots = newShots(n)
	n.logs = raftlog.Watch(s, raftlog.WatchOptions{
		Deadline: logDeadline, MaxCacheBytes: logCache,
		OnFault: n.fail,
		Observe: func(a raftlog.Appended) {
			n.entries.appended(a)
			n.metrics.appended(kind.syncs, a.Took)
		},
		Retry: n.vol.Retry, NoSpace: volume.NoSpace, Starving: n.vol.Starving, Begin: n.vol.Begin,
		Applied: n.machine.Applied, Base: n.machine.AppliedEntry, Hold: n.shots.hold,
	})
	return nil
}

// checkLost refuses a directory whose log was there once: what this node has
// voted for is not known any more.
func (n *Node) checkLost() error {
	if !n.self.card().Began || n.machine.Applied() > 0 {
		return nil
	}
	last, err := n.logs.LastIndex()
	if err != nil || last > 0 {
		return err
	}
	return fmt.Errorf("%w: %s says that it had a log, but the log is empty: restore it, or start with an empty directory", ErrDirectory, identityFile)
}

// startAgain lets a node begin its cluster that lost its power in the middle of
// that: raft notes the first term before the voters, and would never begin a
// cluster that has a term. Nobody else can have voted or led by then.
func (n *Node) startAgain() error {
	last, err := n.logs.LastIndex()
	if err != nil || last > 0 || n.machine.Applied() > 0 || len(n.self.card().Forming) == 0 {
		return err
	}
	if term, err := n.logs.GetUint64([]byte(currentTerm)); err != nil || term != 1 {
		return nil // not begun
	}
	return n.logs.SetUint64([]byte(currentTerm), 0)
}

func (n *Node) raftConfig(notify chan<- bool) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(n.id)
	c.HeartbeatTimeout = n.c.Election
	if n.c.Expect == 1 && len(n.c.Join) == 0 {
		// Nobody to wait for: a single node leads sooner. It waits as long as
		// others once it has company; see place.
		c.HeartbeatTimeout = n.c.Election / 2
	}
	c.ElectionTimeout = c.HeartbeatTimeout
	c.LeaderLeaseTimeout = n.c.Election / 2
	c.CommitTimeout = n.c.Election / 10
	c.MaxAppendEntries = maxAppend
	c.BatchApplyCh = true
	c.ShutdownOnRemove = false
	c.TrailingLogs = n.c.trailing
	c.SnapshotThreshold = n.c.snapshots
	c.SnapshotInterval = snapInterval
	c.NoSnapshotRestoreOnStart = true
	c.NoLegacyTelemetry = true
	c.NotifyCh = notify
	c.Logger = n.bridge.named("raft")
	return c
}

// openRaft starts raft over the log and the state.
func (n *Node) openRaft(notify chan<- bool) error {
	if err := n.checkLog(); err != nil {
		return spoils(n.c.Dir, err)
	}
	if err := n.checkLost(); err != nil {
		return err
	}
	if err := n.startAgain(); err != nil {
		return err
	}
	n.net = newNetwork(n.mux, &n.muted, &n.book, n.bridge)
	n.net.slow = n.c.slow
	n.net.guard = &guard{refused: n.refused, standing: n.roster.of, listed: n.roster.listed, room: n.snapshotRoom,
		term: func() uint64 { return n.raft.CurrentTerm() }, leader: func() string {
			_, id := n.raft.LeaderWithID()
			return string(id)
		}}
	n.net.shots, n.net.install, n.net.pace = n.shots, (&installs{n: n}).install, &pacer{rate: n.c.SnapshotRate}
	n.net.backlog = func() int64 { return n.logs.Bytes(n.machine.Applied()+1, n.raft.AppliedIndex()) }
	r, err := n.newRaft(notify)
	if err != nil {
		return errors.Join(spoils(n.c.Dir, fmt.Errorf("start raft: %w", err)), n.net.Close())
	}
	n.raft = r
	n.beats.watch(r)
	n.logs.Park()
	n.book.mu.Lock()
	n.book.config = n.configuration
	n.book.mu.Unlock()
	return nil
}

// newRaft is raft.NewRaft, which panics when it cannot read its log.
func (n *Node) newRaft(notify chan<- bool) (r *raft.Raft, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
			if cause, ok := p.(error); ok {
				err = cause
			}
		}
	}()
	return raft.NewRaft(n.raftConfig(notify), folding{n.machine, n}, n.logs, ballot{n.logs, n}, n.shots, n.net)
}

// serveRaft hears a stream of raft. Before raft runs, the other side may try
// again.
func (n *Node) serveRaft(ctx context.Context, s stream) {
	if n.up.Load() {
		n.net.serve(ctx, s)
	}
}

// snapshotRoom returns how long a snapshot from a leader may be, in bytes.
func (n *Node) snapshotRoom() int64 {
	if u := n.vol.Usage(); u.Total > 0 {
		return min(u.Free, n.c.MaxSnapshot)
	}
	return n.c.MaxSnapshot // the disk does not tell
}

// configuration returns raft's latest configuration, and before raft runs the
// newest one that was applied.
func (n *Node) configuration() raft.Configuration {
	if !n.up.Load() {
		conf, _ := n.machine.LastConfig()
		return conf
	}
	return n.raft.GetConfiguration().Configuration()
}
