package raftlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

const (
	boltFile = "raft.db"
	// boltLock is how long to wait for a process that is just ending.
	boltLock = 2 * time.Second
	// boltDelete bounds the entries that one transaction deletes, so that a
	// long deletion does not look like a disk that hangs.
	boltDelete = 4096
)

// boltStore is raft-boltdb with long deletions cut into pieces. It is not
// monotonic: gaps are fine, and deleting the whole log is slow.
type boltStore struct {
	*boltdb.BoltStore
	path string
}

// OpenBolt opens the store in dir, the file raft.db, and makes it if there is
// none. Every write is fsynced; the list of free pages is not written but
// found again when the file is opened.
func OpenBolt(dir string) (Store, error) {
	s, err := openBolt(dir)
	if err != nil {
		return nil, fmt.Errorf("open raft log in %s: %w", dir, err)
	}
	return s, nil
}

func openBolt(dir string) (Store, error) {
	if err := makeDir(vfs.Default, dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, boltFile)
	if err := checkBolt(path); err != nil {
		return nil, err
	}
	var s *boltdb.BoltStore
	err := safely(func() (err error) {
		s, err = boltdb.New(boltdb.Options{
			Path: path,
			BoltOptions: &bbolt.Options{
				Timeout:        boltLock,
				NoFreelistSync: true,
				FreelistType:   bbolt.FreelistMapType,
			},
		})
		return err
	})
	if errors.Is(err, bbolt.ErrTimeout) {
		err = ErrInUse
	}
	if err != nil {
		return nil, err
	}
	// An earlier process may have been ended before it came to this.
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := syncDir(vfs.Default, d); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return boltStore{s, path}, nil
}

// StoreLogs appends entries, all or none of them.
func (s boltStore) StoreLogs(logs []*raft.Log) error {
	return final(safely(func() error { return s.BoltStore.StoreLogs(logs) }))
}

// Set keeps a value under a key.
func (s boltStore) Set(key, val []byte) error {
	return final(safely(func() error { return s.BoltStore.Set(key, val) }))
}

// SetUint64 is Set of a number.
func (s boltStore) SetUint64(key []byte, val uint64) error {
	return final(safely(func() error { return s.BoltStore.SetUint64(key, val) }))
}

// FirstIndex returns the index of the oldest entry, 0 if there is none.
func (s boltStore) FirstIndex() (n uint64, err error) {
	err = safely(func() (err error) { n, err = s.BoltStore.FirstIndex(); return err })
	return n, err
}

// LastIndex returns the index of the newest entry, 0 if there is none.
func (s boltStore) LastIndex() (n uint64, err error) {
	err = safely(func() (err error) { n, err = s.BoltStore.LastIndex(); return err })
	return n, err
}

// GetLog reads one entry.
func (s boltStore) GetLog(index uint64, log *raft.Log) error {
	err := safely(func() error { return s.BoltStore.GetLog(index, log) })
	if err != nil && !errors.Is(err, raft.ErrLogNotFound) && !errors.Is(err, ErrCorrupt) {
		return fmt.Errorf("%w: index %d: %w", ErrCorrupt, index, err)
	}
	return err
}

// safely makes an error of a panic, and of a page that is not in the file:
// bolt reads its file as memory and believes it.
func safely(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: bolt: %v", ErrCorrupt, p)
		}
	}()
	return f()
}

// final hides want of space where trying again would not do: a transaction of bolt is
// taken back if its pages found no space, but a failed sync is final, and so is what
// a database does on its own.
func final(err error) error {
	var at *fs.PathError
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	if full && !(errors.As(err, &at) && at.Op == "write") {
		return errors.New(err.Error())
	}
	return err
}

// Size returns about how many bytes the entries take.
func (s boltStore) Size() int64 {
	info, err := os.Stat(s.path)
	if err != nil {
		return 0
	}
	st := s.Stats()
	return max(0, info.Size()-int64(st.FreePageN+st.PendingPageN)*int64(os.Getpagesize()))
}

// Disk returns the bytes of the store's files.
func (s boltStore) Disk() int64 {
	info, err := os.Stat(s.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// DeleteRange deletes the entries from min to max, both included. A crash on
// the way leaves no gap: the tail goes from its end, all else from its start.
func (s boltStore) DeleteRange(min, max uint64) error {
	first, err := s.FirstIndex()
	if err != nil {
		return err
	}
	last, err := s.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	tail := max >= last
	if min < first {
		min = first
	}
	if max > last {
		max = last
	}
	for min <= max && max-min >= boltDelete {
		from, to := min, min+boltDelete-1
		if tail {
			from, to = max-boltDelete+1, max
			max -= boltDelete
		} else {
			min += boltDelete
		}
		if err := s.remove(from, to); err != nil {
			return err
		}
	}
	if min > max {
		return nil
	}
	return s.remove(min, max)
}

func (s boltStore) remove(min, max uint64) error {
	return final(safely(func() error { return s.BoltStore.DeleteRange(min, max) }))
}

// makeDir makes dir and its missing parents, durably: a power cut must not take
// the directory with all that is in it.
func makeDir(fsys vfs.FS, dir string) error {
	parent := fsys.PathDir(dir)
	if _, err := fsys.Stat(dir); !errors.Is(err, fs.ErrNotExist) || parent == dir {
		return err
	}
	if err := makeDir(fsys, parent); err != nil {
		return err
	}
	if err := fsys.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return syncDir(fsys, parent)
}

func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
