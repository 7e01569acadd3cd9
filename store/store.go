package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/pfs-project/pfs/vfs"
)

// ErrClosed is the answer of a Store after Close.
var ErrClosed = errors.New("store is closed")

// DefaultCacheBytes is the room for the caches of a Store that asks for none.
const DefaultCacheBytes = 64 << 20

const (
	memTableBytes = 8 << 20
	openFiles     = 512
	rowsShare     = 8 // one part in so many of the room for caches is the rows'
	bloomBits     = 10
)

// Options are the settings of a Store; the zero value is ready to use.
type Options struct {
	// FS is where the files live; nil for the disk.
	FS FS
	// Patient is the same disk, with writes that wait for space, for the files
	// of the database; nil for FS.
	Patient FS
	// CacheBytes bounds the caches together: an eighth is for single rows, the
	// rest for uncompressed blocks. 0 for [DefaultCacheBytes].
	CacheBytes int64
	// ReadOnly leaves the files as they are: nothing may be committed.
	ReadOnly bool
	// Fatal hears of the first fault, also one in background work: the node
	// must end. It must not call the Store. nil panics with a vfs.StoreFault.
	Fatal func(error)
}

// KV is a key and its value.
type KV struct{ Key, Value []byte }

// Store is an open database. Commit and the live View are for one goroutine at
// a time; all else is safe for concurrent use.
type Store struct {
	db    *pebble.DB
	rows  *rowCache
	fs    FS
	fault *fault
	// manifest tells that pebble writes a manifest of its own: it does from the
	// first flush after it was opened.
	manifest atomic.Bool

	mu     sync.Mutex
	idle   sync.Cond // users is 0
	users  int       // open snapshots and calls under way
	closed bool
}

// Open opens the store in dir and makes it if there is none. It replays what a
// crash left behind, and refuses a directory that is in use, damaged, or
// written by a newer version.
func Open(dir string, o Options) (*Store, error) {
	s := &Store{fs: o.FS, fault: newFault(o.Fatal)}
	s.idle.L = &s.mu
	if s.fs == nil {
		s.fs = Disk()
	}
	if err := prepare(s.fs, dir); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	s.rows = newRowCache(o.CacheBytes / rowsShare)
	db, err := openDB(dir, s.options(dir, o))
	if err = errors.Join(err, s.fault.get()); err != nil {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s.db = db
	s.fault.arm()
	return s, nil
}

// openDB is pebble.Open, which panics when a directory cannot be synced.
func openDB(dir string, o *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return pebble.Open(dir, o)
}

func (s *Store) options(dir string, from Options) *pebble.Options {
	files := from.Patient
	if files == nil {
		files = s.fs
	}
	o := &pebble.Options{
		FS:                 faultFS{files, dir, s.fault},
		CacheSize:          from.CacheBytes - from.CacheBytes/rowsShare,
		MemTableSize:       memTableBytes,
		MaxOpenFiles:       openFiles,
		FormatMajorVersion: pebble.FormatTableFormatV6,
		Logger:             s.fault,
		EventListener:      s.listener(),
		ReadOnly:           from.ReadOnly,
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
	}
	return o
}

// listener hears of faults, and of the manifest.
func (s *Store) listener() *pebble.EventListener {
	l := s.fault.listener()
	l.ManifestCreated = func(pebble.ManifestCreateInfo) { s.manifest.Store(true) }
	return l
}

// enter holds off Close until leave.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if err := s.fault.get(); err != nil {
		return err
	}
	s.users++
	return nil
}

func (s *Store) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	if s.users == 0 {
		s.idle.Broadcast()
	}
}

// Commit writes the changes of o and then the meta keys as one batch. Views
// made later see it; it is durable only after a Sync. An error is final.
func (s *Store) Commit(o *vfs.Overlay, meta ...KV) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	b := s.db.NewBatch()
	sink := batchSink{b: b, rows: s.rows, n: s.rows.last() + 1}
	if o != nil {
		o.Flush(&sink)
	}
	for _, kv := range meta {
		sink.Put(kv.Key, kv.Value)
	}
	err := sink.err
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	err = s.settle("commit", errors.Join(err, b.Close()))
	if err == nil {
		s.rows.done.Store(sink.n)
	}
	return err
}

// Sync returns once everything committed before the call is durable. An error
// is final: what was committed since the last Sync may be lost.
func (s *Store) Sync() error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.settle("sync", s.db.LogData(nil, pebble.Sync))
}

// settle makes an error of a write final. Pebble reports a failed write to its
// logger and returns nil, so the fault is asked too.
func (s *Store) settle(what string, err error) error {
	if err != nil {
		s.fault.raise(fmt.Errorf("%s: %w", what, err))
	}
	return s.fault.get()
}

// Checkpoint makes dir, which must not exist, a copy of all that is committed:
// hard links where it can, so dir must be on the store's filesystem. It is
// durable when Checkpoint returns, opens as a Store, and holds disk space that
// compactions would have freed until it is removed.
func (s *Store) Checkpoint(dir string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	var err error
	if !s.manifest.Load() { // pebble would copy nothing of it, and say that all is well
		err = s.db.Flush()
	}
	if err == nil {
		err = s.db.Checkpoint(dir, pebble.WithFlushedWAL())
	}
	if err == nil {
		err = writeFormat(s.fs, dir)
	}
	if err != nil {
		return fmt.Errorf("checkpoint to %s: %w", dir, err)
	}
	return s.fault.get()
}

// Close waits until all Snapshots are closed and calls have returned, then
// closes the database. New ones get [ErrClosed] at once. Closing twice is no
// error.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for s.users > 0 {
		s.idle.Wait()
	}
	s.mu.Unlock()
	s.fault.disarm()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Metrics is what a Store tells of itself. All sizes are bytes.
type Metrics struct {
	DiskBytes      uint64 // all files
	WALBytes       uint64 // logical size of the write-ahead log
	MemTableBytes  uint64 // held in memory
	CacheBytes     int64  // held by the block cache
	FlushedBytes   uint64 // written by flushes since Open
	CompactedBytes uint64 // written by compactions since Open
	CompactionDebt uint64 // estimated work that compactions are behind
	ReadAmp        int    // levels that a read may have to look into
	Snapshots      int    // open in the database
}

// Metrics returns the present figures; all zero after Close.
func (s *Store) Metrics() Metrics {
	if s.enter() != nil {
		return Metrics{}
	}
	defer s.leave()
	m := s.db.Metrics()
	out := Metrics{
		DiskBytes:      m.DiskSpaceUsage(),
		WALBytes:       m.WAL.Size,
		MemTableBytes:  m.MemTable.Size,
		CacheBytes:     m.BlockCache.Size,
		CompactionDebt: m.Compact.EstimatedDebt,
		ReadAmp:        m.ReadAmp(),
		Snapshots:      m.Snapshots.Count,
	}
	for i := range m.Levels {
		out.FlushedBytes += m.Levels[i].TableBytesFlushed
		out.CompactedBytes += m.Levels[i].TableBytesCompacted
	}
	return out
}

// batchSink writes an Overlay's changes into the batch of commit n, and tells
// the cache of rows of them before the database has them.
type batchSink struct {
	b    *pebble.Batch
	rows *rowCache
	n    uint64
	err  error
}

func (s *batchSink) keep(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *batchSink) Put(key, value []byte) {
	s.keep(s.b.Set(key, value, nil))
	s.rows.change(s.n, key, value, false)
}

func (s *batchSink) Delete(key []byte) {
	s.keep(s.b.Delete(key, nil))
	s.rows.change(s.n, key, nil, true)
}

func (s *batchSink) DeleteRange(from, to []byte) {
	if string(from) < string(to) { // an empty range would be an invalid tombstone
		s.keep(s.b.DeleteRange(from, to, nil))
		s.rows.wipe(s.n)
	}
}
