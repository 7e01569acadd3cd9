package blob

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/zeebo/blake3"
)

// ReadAt fills b from the chunk, starting off bytes into it, and verifies
// every 64 KiB that it touches. A chunk that is not here gives fs.ErrNotExist.
// A damaged one gives [ErrCorrupt] and is set aside: from then on both, until
// it is Put again. A read past the end gives io.ErrUnexpectedEOF, and a disk
// that cannot read its own error.
func (s *Store) ReadAt(hash [32]byte, b []byte, off int64) error {
	err := s.with(hash, func(c chunk, scratch []byte) error { return c.readAt(b, off, scratch) })
	return s.judge(hash, err)
}

// Verify reads the whole chunk and compares it with its name; errors as with
// ReadAt.
func (s *Store) Verify(hash [32]byte) error { return s.judge(hash, s.verify(hash)) }

// Size returns the length of the chunk in bytes; errors as with ReadAt.
func (s *Store) Size(hash [32]byte) (size int64, err error) {
	err = s.with(hash, func(c chunk, _ []byte) error {
		size = c.size
		return nil
	})
	return size, s.judge(hash, err)
}

// with calls do with the open chunk and a block of scratch memory.
func (s *Store) with(hash [32]byte, do func(c chunk, scratch []byte) error) error {
	f, err := s.fs.Open(s.path(hash))
	if err != nil {
		return err
	}
	scratch := s.pool.Get().(*[scratchLen]byte)
	defer s.pool.Put(scratch)
	c, err := readHeader(f, hash, scratch[blockLen:])
	if err == nil {
		err = do(c, scratch[:blockLen])
	}
	return errors.Join(err, f.Close())
}

func (s *Store) verify(hash [32]byte) error {
	return s.with(hash, func(c chunk, scratch []byte) error {
		h := blake3.New()
		for i := range int64(blocks(c.size)) {
			b := scratch[:min(blockLen, c.size-i*blockLen)]
			if err := c.block(i, b); err != nil {
				return err
			}
			_, _ = h.Write(b) // never fails
		}
		if [32]byte(h.Sum(nil)) != hash {
			return fmt.Errorf("%w: content is that of another", ErrCorrupt)
		}
		return nil
	})
}

// judge looks again at a chunk that read as damaged and sets it aside if it
// is, and tells absent from set aside.
func (s *Store) judge(hash [32]byte, err error) error {
	switch {
	case errors.Is(err, ErrCorrupt):
		sh := &s.shards[hash[0]]
		sh.mu.Lock()
		defer sh.mu.Unlock()
		// By now the file may be another one, put in place of the damaged.
		if errors.Is(s.verify(hash), ErrCorrupt) {
			s.setAside(hash)
		}
	case errors.Is(err, fs.ErrNotExist):
		if f, open := s.fs.Open(s.quarantined(hash)); open == nil {
			return errors.Join(ErrCorrupt, err, f.Close())
		}
	}
	return err
}

// setAside moves the chunk's file, if there is one, into quarantine. The
// shard's lock is held. Should the move fail, the file stays and is found
// damaged again.
func (s *Store) setAside(hash [32]byte) {
	f, err := s.fs.Open(s.path(hash))
	if err != nil {
		return
	}
	e, err := f.Entry()
	if errors.Join(err, f.Close()) == nil && s.fs.Rename(s.path(hash), s.quarantined(hash)) == nil {
		s.account(-1, -e.Size)
	}
}

// Has reports whether the chunk seems to be here. It may not be durable yet
// and Sweep may take it: to rely on it, Touch it.
func (s *Store) Has(hash [32]byte) bool {
	f, err := s.fs.Open(s.path(hash))
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// Touch reports whether the chunk is here, whole by its length and durable,
// and if so protects it against Sweep for another grace period.
func (s *Store) Touch(hash [32]byte) bool {
	return s.failed() == nil && s.touch(hash) && s.settle(hash[0]) == nil
}

// touch is Touch without making it durable. The lock keeps Sweep away.
func (s *Store) touch(hash [32]byte) bool {
	sh := &s.shards[hash[0]]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f, err := s.fs.Open(s.path(hash))
	if err != nil {
		return false
	}
	return errors.Join(whole(f, hash), f.Touch(), f.Close()) == nil
}

// whole compares the length of the file with its header.
func whole(f File, hash [32]byte) error {
	c, err := readHeader(f, hash, make([]byte, usualHeader))
	if err != nil {
		return err
	}
	e, err := f.Entry()
	if err == nil && e.Size != c.start+c.size {
		err = io.ErrUnexpectedEOF
	}
	return err
}
