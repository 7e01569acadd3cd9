package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// Keys: 'l' and the index, eight bytes big endian; 's' and a key of the stable
// store.
const (
	logSpace    = 'l'
	stableSpace = 's'
)

const (
	pebbleMemTable = 4 << 20
	pebbleCache    = 4 << 20
	pebbleFiles    = 128
)

// pebbleStore is a log in a database of its own, every write synced.
//
// It is monotonic: raft then deletes the whole log after it installed a
// snapshot, which is one range deletion here. So the log never has a gap, its
// first index is true, and a restarted follower cannot hold on to a tail that
// contradicts the snapshot.
type pebbleStore struct {
	db    *pebble.DB
	fault atomic.Pointer[error]
	gone  chan struct{} // closed by the first fault

	ending sync.Mutex // of serves, and held while a fault of the write-ahead log is told
	serves bool       // it is open, and not about to be closed

	figures sync.Mutex // held while pebble is asked for its figures, or closed
	size    int64      // as it said last

	write turn // of a write, from start to end

	mu          sync.RWMutex // held for reading by a read, or to change what follows
	first, last uint64       // of the durable entries; 0, 0 if there are none
	closed      bool
}

// turn is a lock that may be held for long: who waits for a slow disk is seen
// to wait, also by the clock of a simulation.
type turn chan struct{}

func (t turn) take() { t <- struct{}{} }
func (t turn) give() { <-t }

func newPebble() *pebbleStore {
	return &pebbleStore{write: make(turn, 1), gone: make(chan struct{})}
}

// OpenPebble opens the store in dir and makes it if there is none. fs is where
// it lives, nil for the disk.
func OpenPebble(dir string, fs vfs.FS) (Store, error) {
	s := newPebble()
	if fs == nil {
		fs = vfs.Default
	}
	if err := errors.Join(makeDir(fs, dir), syncDir(fs, fs.PathDir(dir))); err != nil {
		return nil, fmt.Errorf("open raft log in %s: %w", dir, err)
	}
	db, err := openDB(dir, &pebble.Options{
		FS:                 walFS{fs, s},
		CacheSize:          pebbleCache,
		MemTableSize:       pebbleMemTable,
		MaxOpenFiles:       pebbleFiles,
		FormatMajorVersion: pebble.FormatTableFormatV6,
		Logger:             pebbleLog{s},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { _ = s.fail("background", err) },
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				_ = s.fail(i.Path, fmt.Errorf("%w: %w", ErrCorrupt, i.Details))
			},
		},
	})
	if err = errors.Join(err, s.failed()); err == nil {
		s.db = db
		err = s.bounds()
	}
	if err != nil {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
		return nil, fmt.Errorf("open raft log in %s: %w", dir, err)
	}
	s.serves = true
	return s, nil
}

// openDB is pebble.Open, which panics when a directory cannot be synced. A lock that
// another process has is ErrInUse.
func openDB(dir string, o *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	db, err = pebble.Open(dir, o)
	if errors.Is(err, syscall.EAGAIN) {
		err = ErrInUse
	}
	return db, err
}

// pebbleLog is where pebble reports that it cannot go on; it then returns as
// if all were well.
type pebbleLog struct{ s *pebbleStore }

func (pebbleLog) Infof(string, ...any)  {}
func (pebbleLog) Errorf(string, ...any) {}
func (l pebbleLog) Fatalf(format string, args ...any) {
	_ = l.s.fail("pebble", fmt.Errorf(format, args...))
}

func (s *pebbleStore) fail(what string, err error) error {
	err = final(fmt.Errorf("raft log: %s: %w", what, err))
	if s.fault.CompareAndSwap(nil, &err) {
		close(s.gone)
	}
	return err
}

func (s *pebbleStore) failed() error {
	if p := s.fault.Load(); p != nil {
		return *p
	}
	return nil
}

func logKey(index uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{logSpace}, index)
}

func stableKey(key []byte) []byte {
	return append([]byte{stableSpace}, key...)
}

// bounds finds the first and the last entry.
func (s *pebbleStore) bounds() error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{logSpace}, UpperBound: []byte{logSpace + 1}})
	if err != nil {
		return err
	}
	if it.First() {
		s.first, err = keyIndex(it.Key())
	}
	if err == nil && it.Last() {
		s.last, err = keyIndex(it.Key())
	}
	return errors.Join(err, it.Error(), it.Close())
}

func keyIndex(key []byte) (uint64, error) {
	if len(key) != 9 {
		return 0, fmt.Errorf("%w: a key of %d bytes", ErrCorrupt, len(key))
	}
	return binary.BigEndian.Uint64(key[1:]), nil
}

// IsMonotonic tells raft that entries follow each other without a gap.
func (s *pebbleStore) IsMonotonic() bool { return true }

// FirstIndex returns the index of the oldest entry, 0 if there is none.
func (s *pebbleStore) FirstIndex() (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.first, s.open()
}

// LastIndex returns the index of the newest entry, 0 if there is none.
func (s *pebbleStore) LastIndex() (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.last, s.open()
}

func (s *pebbleStore) open() error {
	if s.closed {
		return ErrClosed
	}
	return nil
}

// GetLog reads one entry. What is being written is not there yet.
func (s *pebbleStore) GetLog(index uint64, log *raft.Log) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.open(); err != nil {
		return err
	}
	if index == 0 || index < s.first || index > s.last {
		return raft.ErrLogNotFound
	}
	b, closer, err := s.db.Get(logKey(index))
	if errors.Is(err, pebble.ErrNotFound) {
		return fmt.Errorf("%w: index %d is missing between %d and %d", ErrCorrupt, index, s.first, s.last)
	}
	if err != nil {
		return fmt.Errorf("raft log: read %d: %w", index, err)
	}
	return errors.Join(getEntry(index, b, log), closer.Close())
}

// StoreLog appends one entry.
func (s *pebbleStore) StoreLog(log *raft.Log) error { return s.StoreLogs([]*raft.Log{log}) }

// StoreLogs appends entries, all or none of them. They must follow the last
// one without a gap; the first one ever may have any index.
func (s *pebbleStore) StoreLogs(logs []*raft.Log) error {
	s.write.take()
	defer s.write.give()
	if err := s.writable(); err != nil || len(logs) == 0 {
		return err
	}
	next := logs[0].Index
	if s.last != 0 {
		next = s.last + 1
	}
	for i, l := range logs {
		if l.Index != next+uint64(i) || l.Index == 0 {
			return fmt.Errorf("raft log: entry %d does not follow %d", l.Index, next+uint64(i)-1)
		}
	}
	err := s.commit("append", func(b *pebble.Batch) error {
		for _, l := range logs {
			op := b.SetDeferred(1+8, entryLen(l))
			op.Key[0] = logSpace
			binary.BigEndian.PutUint64(op.Key[1:], l.Index)
			putEntry(op.Value, l)
			if err := op.Finish(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == 0 {
		s.first = logs[0].Index
	}
	s.last = logs[len(logs)-1].Index
	return nil
}

// DeleteRange deletes the entries from min to max, both included: the head of
// the log, its tail, or all. A hole in the middle is refused.
func (s *pebbleStore) DeleteRange(min, max uint64) error {
	s.write.take()
	defer s.write.give()
	if err := s.writable(); err != nil || s.last == 0 || max < min || max < s.first || min > s.last {
		return err
	}
	if min > s.first && max < s.last {
		return fmt.Errorf("raft log: deletion of %d to %d would leave a gap between %d and %d", min, max, s.first, s.last)
	}
	// The bounds come first: a reader beside this must find the entries gone,
	// not missing. Should the deletion fail, no write follows it.
	s.mu.Lock()
	switch {
	case min <= s.first && max >= s.last:
		s.first, s.last = 0, 0
	case min <= s.first:
		s.first = max + 1
	default:
		s.last = min - 1
	}
	s.mu.Unlock()
	return s.commit("delete", func(b *pebble.Batch) error {
		return b.DeleteRange(logKey(min), append(logKey(max), 0), nil)
	})
}

// writable returns why nothing may be written. The write lock is held.
func (s *pebbleStore) writable() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return errors.Join(s.open(), s.failed())
}

// commit writes one batch and syncs it. The write lock is held. pebble does not
// come back from a fault of its write-ahead log.
func (s *pebbleStore) commit(what string, fill func(*pebble.Batch) error) error {
	if err := s.writable(); err != nil {
		return err
	}
	b := s.db.NewBatch()
	if err := fill(b); err != nil {
		return s.fail(what, errors.Join(err, b.Close()))
	}
	done := make(chan error, 1)
	go func() { done <- commitBatch(b) }()
	select {
	case err := <-done:
		if err != nil {
			return s.fail(what, err)
		}
	case <-s.gone:
	}
	return s.failed()
}

// commitBatch makes an error of a panic, which is how pebble says that its log is
// closed.
func commitBatch(b *pebble.Batch) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return errors.Join(b.Commit(&pebble.WriteOptions{Sync: syncLog}), b.Close())
}

// Set keeps a value under a key of the stable store.
func (s *pebbleStore) Set(key, val []byte) error {
	s.write.take()
	defer s.write.give()
	return s.commit("set", func(b *pebble.Batch) error { return b.Set(stableKey(key), val, nil) })
}

// Get returns a copy of the value of key.
func (s *pebbleStore) Get(key []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.open(); err != nil {
		return nil, err
	}
	b, closer, err := s.db.Get(stableKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, errKeyNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("raft log: read %q: %w", key, err)
	}
	return append([]byte(nil), b...), closer.Close()
}

// SetUint64 is Set of a number.
func (s *pebbleStore) SetUint64(key []byte, val uint64) error {
	return s.Set(key, binary.BigEndian.AppendUint64(nil, val))
}

// GetUint64 is Get of a number.
func (s *pebbleStore) GetUint64(key []byte) (uint64, error) {
	b, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: %q is no number", ErrCorrupt, key)
	}
	return binary.BigEndian.Uint64(b), nil
}

// Size returns about how many bytes the entries take.
func (s *pebbleStore) Size() int64 { return s.Disk() }

// Disk returns the bytes of the store's files. pebble is asked without the lock of
// reads and writes: it may have to wait for its disk.
func (s *pebbleStore) Disk() int64 {
	s.figures.Lock()
	defer s.figures.Unlock()
	if s.going() {
		s.size = int64(s.db.Metrics().DiskSpaceUsage())
	}
	return s.size
}

// going reports whether the store is open and has no fault.
func (s *pebbleStore) going() bool {
	s.ending.Lock()
	defer s.ending.Unlock()
	return s.serves && s.failed() == nil
}

// Close waits for a write under way and closes the database. After a fault it is
// left as it is: calls that did not come back may still hold it.
func (s *pebbleStore) Close() error {
	s.write.take()
	defer s.write.give()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.ending.Lock()
	s.serves = false
	fault := s.failed()
	s.ending.Unlock()
	if fault != nil {
		return nil
	}
	s.figures.Lock()
	defer s.figures.Unlock()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close raft log: %w", err)
	}
	return nil
}
