package blob

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	tempDir       = "tmp"
	quarantineDir = "quarantine"
	shards        = 256
	scratchLen    = blockLen + usualHeader
	usualHeader   = fixedLen + sumLen*(4<<20/blockLen) + sumLen // of a 4 MiB chunk
)

// Store is an open directory of chunks, which no other process may use.
// Everything is safe for concurrent use.
type Store struct {
	dir    string
	fs     FS
	opened time.Time
	shards [shards]shard
	temps  atomic.Uint64 // names of temporary files
	count  atomic.Int64
	bytes  atomic.Int64
	fault  atomic.Pointer[error]
	pool   sync.Pool // of *[scratchLen]byte

	mu      sync.Mutex
	putting map[[32]byte]*pending
}

// shard is one directory of chunks. Its lock is held while names in it appear
// or go, and to look up a name that shall be relied on.
type shard struct {
	mu      sync.Mutex
	synced  sync.Cond
	changes uint64 // names that appeared; starts at 1: what was found at Open
	durable uint64 // of these
	syncing bool
}

// pending is a Put under way, which others of the same chunk wait for.
type pending struct {
	done chan struct{}
	err  error
}

// Open opens the store in dir, making it if there is none, and removes what
// unfinished Puts left behind. fsys nil means [Disk]. It looks at the name and
// size of every chunk.
func Open(dir string, fsys FS) (*Store, error) {
	if fsys == nil {
		fsys = Disk{}
	}
	s := &Store{dir: dir, fs: fsys, opened: time.Now(), putting: map[[32]byte]*pending{}}
	s.pool.New = func() any { return new([scratchLen]byte) }
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open chunks in %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) open() error {
	if err := s.makeDir(s.dir); err != nil {
		return err
	}
	names := []string{tempDir, quarantineDir}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.synced.L, sh.changes = &sh.mu, 1
		names = append(names, shardName(byte(i)))
	}
	for _, name := range names {
		d, err := s.fs.Dir(filepath.Join(s.dir, name))
		if err != nil {
			return err
		}
		if err := d.Close(); err != nil {
			return err
		}
	}
	for _, dir := range []string{s.dir, filepath.Dir(s.dir)} {
		if err := s.syncDir(dir); err != nil {
			return err
		}
	}
	left, err := s.fs.List(filepath.Join(s.dir, tempDir))
	if err != nil {
		return err
	}
	for _, e := range left {
		if err := s.fs.Remove(filepath.Join(s.dir, tempDir, e.Name)); err != nil {
			return err
		}
	}
	for i := range s.shards {
		found, err := s.list(byte(i))
		if err != nil {
			return err
		}
		for _, c := range found {
			s.account(1, c.size)
		}
	}
	return nil
}

// makeDir makes dir and its missing parents, durably: a power cut must not take
// the directory with all that is in it.
func (s *Store) makeDir(dir string) error {
	parent := filepath.Dir(dir)
	if _, err := s.fs.List(dir); !errors.Is(err, fs.ErrNotExist) || parent == dir {
		return err
	}
	if err := s.makeDir(parent); err != nil {
		return err
	}
	d, err := s.fs.Dir(dir)
	if err == nil {
		err = errors.Join(d.Close(), s.syncDir(parent))
	}
	return err
}

func shardName(i byte) string { return hex.EncodeToString([]byte{i}) }

func (s *Store) path(hash [32]byte) string {
	return filepath.Join(s.dir, shardName(hash[0]), hex.EncodeToString(hash[:]))
}

func (s *Store) quarantined(hash [32]byte) string {
	return filepath.Join(s.dir, quarantineDir, hex.EncodeToString(hash[:]))
}

func (s *Store) account(count, bytes int64) {
	s.count.Add(count)
	s.bytes.Add(bytes)
}

// Stats returns how many chunks there are and the bytes of their files.
func (s *Store) Stats() (count, bytes int64) { return s.count.Load(), s.bytes.Load() }

// found is a chunk as a directory lists it.
type found struct {
	hash    [32]byte
	size    int64 // of the file
	changed time.Time
}

func (s *Store) list(i byte) ([]found, error) {
	entries, err := s.fs.List(filepath.Join(s.dir, shardName(i)))
	if err != nil {
		return nil, err
	}
	out := make([]found, 0, len(entries))
	for _, e := range entries {
		b, err := hex.DecodeString(e.Name)
		if err == nil && len(b) == 32 && b[0] == i {
			out = append(out, found{[32]byte(b), e.Size, e.Changed})
		}
	}
	return out, nil
}

// List yields the hash of every chunk, in no order, among them those put or
// swept meanwhile or not; or one error, and ends.
func (s *Store) List(yield func([32]byte, error) bool) {
	for i := range shards {
		chunks, err := s.list(byte(i))
		if err != nil {
			yield([32]byte{}, err)
			return
		}
		for _, c := range chunks {
			if !yield(c.hash, nil) {
				return
			}
		}
	}
}

// Put keeps data, at most [MaxSize] bytes, and returns its hash. When it
// returns nil the chunk is durable and protected against Sweep for the grace
// period. One that is here already is verified, and replaced if it is damaged.
func (s *Store) Put(data []byte) ([32]byte, error) {
	if len(data) > MaxSize {
		return [32]byte{}, fmt.Errorf("chunk of %d bytes is longer than %d", len(data), MaxSize)
	}
	hash := Sum(data)
	s.mu.Lock()
	p := s.putting[hash]
	if p != nil {
		s.mu.Unlock()
		<-p.done
		return hash, p.err
	}
	p = &pending{done: make(chan struct{})}
	s.putting[hash] = p
	s.mu.Unlock()

	p.err = s.put(hash, data)
	s.mu.Lock()
	delete(s.putting, hash)
	s.mu.Unlock()
	close(p.done)
	return hash, p.err
}

func (s *Store) put(hash [32]byte, data []byte) error {
	if err := s.failed(); err != nil {
		return err
	}
	if s.verify(hash) != nil || !s.touch(hash) {
		if err := s.write(hash, data); err != nil {
			return fmt.Errorf("put chunk: %w", err)
		}
	}
	return s.settle(hash[0])
}

// write makes the chunk's file and gives it its name, not yet durably.
func (s *Store) write(hash [32]byte, data []byte) error {
	temp := filepath.Join(s.dir, tempDir, strconv.FormatUint(s.temps.Add(1), 10))
	size, err := s.writeFile(temp, hash, data)
	if err != nil {
		return errors.Join(err, s.fs.Remove(temp))
	}
	sh := &s.shards[hash[0]]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.setAside(hash) // what is in the way did not verify
	if err := s.fs.Rename(temp, s.path(hash)); err != nil {
		return errors.Join(err, s.fs.Remove(temp))
	}
	sh.changes++
	s.account(1, size)
	_ = s.fs.Remove(s.quarantined(hash)) // usually there is none
	return nil
}

func (s *Store) writeFile(name string, hash [32]byte, data []byte) (size int64, err error) {
	f, err := s.fs.Create(name)
	if err != nil {
		return 0, err
	}
	head := header(hash, data)
	_, err = f.Write(head)
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil && syncChunk {
		if err = f.Sync(); err != nil && !errors.Is(err, syscall.ENOSPC) {
			err = s.fail(err)
		}
	}
	return int64(len(head) + len(data)), errors.Join(err, f.Close())
}

// settle makes the names in a shard durable, with one sync for all who wait.
func (s *Store) settle(i byte) error {
	sh := &s.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for want := sh.changes; sh.durable < want; {
		if err := s.failed(); err != nil {
			return err
		}
		if sh.syncing {
			sh.synced.Wait()
			continue
		}
		sh.syncing = true
		upto := sh.changes
		sh.mu.Unlock()
		var err error
		if syncNames {
			err = s.syncDir(filepath.Join(s.dir, shardName(i)))
		}
		sh.mu.Lock()
		sh.syncing = false
		sh.synced.Broadcast()
		if err != nil {
			return s.fail(err)
		}
		sh.durable = upto
	}
	return s.failed()
}

func (s *Store) syncDir(name string) error {
	d, err := s.fs.Dir(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// fail remembers the first failed sync: what the system dropped then it would
// not report again.
func (s *Store) fail(err error) error {
	err = fmt.Errorf("chunks cannot be made durable: %w", err)
	s.fault.CompareAndSwap(nil, &err)
	return err
}

// Failed returns the first failed sync, after which nothing is kept any more;
// nil while there was none.
func (s *Store) Failed() error { return s.failed() }

func (s *Store) failed() error {
	if p := s.fault.Load(); p != nil {
		return *p
	}
	return nil
}
