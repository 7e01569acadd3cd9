package raftlog

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// walFS keeps failures of the write-ahead log from pebble, which ends the process
// over one that comes as it changes the file: the store tells of it, and the call
// does not come back.
type walFS struct {
	vfs.FS
	s *pebbleStore
}

// Unwrap returns the filesystem below.
func (w walFS) Unwrap() vfs.FS { return w.FS }

// wrap returns the file if it is part of the write-ahead log. dir says that it is the directory.
func (w walFS) wrap(what, name string, dir bool, f vfs.File, err error) (vfs.File, error) {
	if !dir && !strings.HasSuffix(name, ".log") {
		return f, err
	}
	if err = w.s.keepBack(what, name, err); err != nil {
		return f, err
	}
	return walFile{f, name, w.s}, nil
}

func (w walFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.Create(name, c)
	return w.wrap("create", name, false, f, err)
}

func (w walFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.ReuseForWrite(from, to, c)
	return w.wrap("rename", to, false, f, err)
}

func (w walFS) OpenDir(name string) (vfs.File, error) {
	f, err := w.FS.OpenDir(name)
	return w.wrap("open", name, true, f, err)
}

type walFile struct {
	vfs.File
	name string
	s    *pebbleStore
}

func (f walFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	return n, f.s.keepBack("write", f.name, err)
}

func (f walFile) WriteAt(b []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(b, off)
	return n, f.s.keepBack("write", f.name, err)
}

// Preallocate sets room aside, and fills what of it was never written with zeroes. Room
// that is only set aside makes each sync of an append wait for the journal of the file
// system, too, with the new length and what is written now. A file that is used
// again has been written; zeroes are read as the end of the log, as what is left
// of an older one is. Without the room pebble goes on: it finds out as it writes.
func (f walFile) Preallocate(offset, length int64) error {
	if err := f.File.Preallocate(offset, length); err != nil {
		return err
	}
	st, err := f.File.Stat()
	if err != nil {
		return err
	}
	zeroes := make([]byte, 64<<10)
	for at, end := max(offset, st.Size()), offset+length; at < end; {
		n, err := f.File.WriteAt(zeroes[:min(int64(len(zeroes)), end-at)], at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

func (f walFile) Sync() error     { return f.s.keepBack("sync", f.name, f.File.Sync()) }
func (f walFile) SyncData() error { return f.s.keepBack("sync", f.name, f.File.SyncData()) }
func (f walFile) Close() error    { return f.s.keepBack("close", f.name, f.File.Close()) }

func (f walFile) SyncTo(n int64) (bool, error) {
	full, err := f.File.SyncTo(n)
	return full, f.s.keepBack("sync", f.name, err)
}

// keepBack does not return an error of an open store: whoever called belongs to a
// database that is not used any more.
func (s *pebbleStore) keepBack(what, name string, err error) error {
	if err == nil || !s.tell(what, name, err) {
		return err
	}
	select {}
}

// tell makes an error the store's fault, if it is open.
func (s *pebbleStore) tell(what, name string, err error) bool {
	s.ending.Lock()
	defer s.ending.Unlock()
	if s.serves {
		_ = s.fail(what, fmt.Errorf("%s: %w", name, err))
	}
	return s.serves
}
