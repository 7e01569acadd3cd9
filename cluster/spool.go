package cluster

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"path/filepath"
	"slices"

	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/volume"
)

// spoolDir is where rows of a backup wait until all of it was verified. What a
// crash leaves there is removed at the next start.
const spoolDir = "restore"

// spool is rows in a file.
type spool struct {
	disk store.FS
	name string
	f    store.File
	w    *bufio.Writer
}

func newSpool(c Config) (*spool, error) {
	dir := filepath.Join(c.Dir, spoolDir)
	if err := c.disk.files.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &spool{disk: c.disk.files, name: filepath.Join(dir, randomText())}
	var err error
	if s.f, err = store.Create(s.disk, s.name); err != nil {
		return nil, err
	}
	s.w = bufio.NewWriterSize(s.f, 256<<10)
	return s, nil
}

// add appends a row.
func (s *spool) add(key, value []byte) error {
	var head [8]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(key)))
	binary.BigEndian.PutUint32(head[4:], uint32(len(value)))
	_, err := s.w.Write(head[:])
	if err == nil {
		_, err = s.w.Write(key)
	}
	if err == nil {
		_, err = s.w.Write(value)
	}
	return err
}

// each gives all rows to do.
func (s *spool) each(do func(key, value []byte) error) error {
	if err := s.w.Flush(); err != nil {
		return diskError(err)
	}
	f, err := s.disk.Open(s.name)
	if err != nil {
		return diskError(err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 256<<10)
	var head [8]byte
	var row []byte
	for {
		if _, err := io.ReadFull(r, head[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return diskError(err)
		}
		k, v := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint32(head[4:])
		row = slices.Grow(row[:0], int(k)+int(v))[:int(k)+int(v)]
		if _, err := io.ReadFull(r, row); err != nil {
			return diskError(err)
		}
		if err := do(row[:k], row[k:]); err != nil {
			return err
		}
	}
}

func (s *spool) remove() {
	_ = errors.Join(s.f.Close(), s.disk.Remove(s.name)) // else at the next start
}

// diskError is the answer when this node's disk fails a restore.
func diskError(err error) error {
	if volume.NoSpace(err) {
		return errNoSpaceHere
	}
	return vfs.Unavailable.With("the backup cannot be held on this node: " + err.Error())
}
