package fsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/store"
)

const (
	// liveID names the only snapshot there is: the state as it stands.
	liveID = "live"
	// maxStreams bounds the checkpoints alive at once: each holds the disk
	// space of all that compactions have replaced since.
	maxStreams = 2
)

var errNoDir = errors.New("a state without a directory has no snapshots to send or install")

// snapshots is what is under way: archives that arrive, and streams that leave.
type snapshots struct {
	mu       sync.Mutex
	streams  int
	number   int // of the last temporary name
	installs map[string]*install
	received map[string]bool // by id: unpacked, and not installed yet
}

func (s *snapshots) name(kind string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
	return fmt.Sprintf("%s%d", kind, s.number)
}

// Snapshots returns a snapshot store for raft in which the snapshot is the
// live state itself: taking one only makes durable what is committed, List
// tells what the store really holds, and a copy is made only when one is read.
// Open on the id that List gives streams a backup; the caller closes it.
func (m *Machine) Snapshots() raft.SnapshotStore { return snapshotStore{m} }

type snapshotStore struct{ m *Machine }

// List returns the state as the one snapshot, or none before the first entry.
func (s snapshotStore) List() ([]*raft.SnapshotMeta, error) {
	at := s.m.appliedNow()
	if at.index == 0 {
		return nil, nil
	}
	return []*raft.SnapshotMeta{at.meta(liveID, 0)}, nil
}

// Create returns a sink. One that is written to is a snapshot from elsewhere,
// to be restored at the index given here; one that is not was taken here.
func (s snapshotStore) Create(version raft.SnapshotVersion, index, term uint64, conf raft.Configuration,
	confIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if version != raft.SnapshotVersionMax {
		return nil, fmt.Errorf("snapshot version %d is not known", version)
	}
	return &sink{m: s.m, at: applied{index, term, confIndex, raft.EncodeConfiguration(conf)}}, nil
}

// Open opens the live state or an archive that has arrived.
func (s snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if id == liveID {
		return s.m.openLive()
	}
	s.m.snaps.mu.Lock()
	in := s.m.snaps.installs[id]
	s.m.snaps.mu.Unlock()
	if in == nil {
		return nil, nil, fmt.Errorf("no snapshot %q", id)
	}
	if in.dir != "" {
		return in.at.meta(id, in.size), &arrived{install: *in, m: s.m, id: id}, nil
	}
	f, err := s.m.home.disk.Open(in.path)
	if err != nil {
		return nil, nil, err
	}
	return in.at.meta(id, in.size), &arrived{File: f, m: s.m, id: id, install: *in}, nil
}

// Verify reads all files of the present state; see store.VerifyTables.
func (m *Machine) Verify(ctx context.Context, pace func(tables int) bool) error {
	m.apply.Lock()
	dir := m.home.gen(m.gen)
	m.apply.Unlock()
	if m.o.Dir == "" {
		return errNoDir
	}
	err := store.VerifyTables(ctx, m.home.disk, dir, pace)
	if errors.Is(err, fs.ErrNotExist) { // it was replaced
		return nil
	}
	return err
}

// Snapshot returns at once: the state is its own snapshot.
func (m *Machine) Snapshot() (raft.FSMSnapshot, error) {
	if err := m.Failed(); err != nil {
		return nil, err
	}
	return taken{m}, nil
}

type taken struct{ m *Machine }

// Persist makes durable what the log is about to be cut behind. Raft names the
// last entry that it has handed over; those after the applied index were not
// for the state machine, and need not be kept either.
func (t taken) Persist(to raft.SnapshotSink) error {
	if s, ok := to.(*sink); ok {
		if err := t.m.raise(s.at); err != nil {
			return err
		}
	}
	return t.m.Store().Sync()
}

// Release has nothing to release.
func (taken) Release() {}

// raise moves the applied index, over entries that change nothing, to at, and
// takes its configuration unless a later one was applied meanwhile. That way
// recovery of a cluster whose configuration was replaced by hand sticks.
func (m *Machine) raise(at applied) error {
	m.apply.Lock()
	defer m.apply.Unlock()
	if err := m.Failed(); err != nil {
		return err
	}
	now := m.appliedNow()
	same := bytes.Equal(now.config, at.config)
	if at.index <= now.index && (same || now.configIndex > at.index) {
		return nil
	}
	if !same && now.configIndex <= at.index {
		now.config, now.configIndex = at.config, at.configIndex
	}
	if at.index > now.index {
		now.index, now.term = at.index, at.term
	}
	if err := m.store.Commit(nil, now.rows()...); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.publish(now, nil, nil)
	return nil
}

// openLive makes a checkpoint and streams it. Index, term and configuration
// are those that the checkpoint holds: entries go on being applied meanwhile.
func (m *Machine) openLive() (_ *raft.SnapshotMeta, _ io.ReadCloser, err error) {
	if m.o.Dir == "" {
		return nil, nil, errNoDir
	}
	if !m.snaps.begin() {
		return nil, nil, fmt.Errorf("%d snapshots are being sent already", maxStreams)
	}
	dir := m.home.path(m.snaps.name(checkpointPrefix))
	defer func() {
		if err != nil {
			err = errors.Join(err, m.home.disk.RemoveAll(dir))
			m.snaps.end()
		}
	}()
	if err := m.Store().Checkpoint(dir); err != nil {
		return nil, nil, err
	}
	at, err := m.appliedIn(dir)
	if err != nil {
		return nil, nil, err
	}
	if at.index == 0 {
		return nil, nil, errors.New("nothing to snapshot yet")
	}
	size, err := store.ArchiveSize(m.home.disk, dir)
	if err != nil {
		return nil, nil, err
	}
	return at.meta(liveID, size), m.stream(dir), nil
}

// appliedIn reads what a checkpoint says of itself.
func (m *Machine) appliedIn(dir string) (at applied, err error) {
	st, err := store.Open(dir, store.Options{FS: m.home.disk, ReadOnly: true, Fatal: func(error) {}})
	if err != nil {
		return at, err
	}
	defer func() { err = errors.Join(err, fault(recover()), st.Close()) }()
	return readApplied(st.View())
}

func (s *snapshots) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams == maxStreams {
		return false
	}
	s.streams++
	return true
}

func (s *snapshots) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams--
}

// leaving is the stream of a checkpoint, which is gone when it is closed.
type leaving struct {
	*io.PipeReader
	m    *Machine
	dir  string
	done chan struct{}
	once sync.Once
	err  error
}

func (m *Machine) stream(dir string) *leaving {
	r, w := io.Pipe()
	l := &leaving{PipeReader: r, m: m, dir: dir, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		_ = w.CloseWithError(store.Archive(w, m.home.disk, dir)) // the reader hears of it
	}()
	return l
}

// Close ends the stream and removes the checkpoint.
func (l *leaving) Close() error {
	l.once.Do(func() {
		_ = l.PipeReader.Close()
		<-l.done
		l.err = l.m.home.disk.RemoveAll(l.dir)
		l.m.snaps.end()
	})
	return l.err
}
