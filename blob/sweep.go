package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Sweep removes the chunks that keep does not want and that were neither put
// nor touched for olderThan, and returns how many. As the time of a Touch may
// be lost in a crash, none goes until the store has been open for that long.
// It ends early with ctx's error, or at the first that cannot be removed.
func (s *Store) Sweep(ctx context.Context, keep func([32]byte) bool, olderThan time.Duration) (removed int, err error) {
	if time.Since(s.opened) < olderThan {
		return 0, nil
	}
	for i := range shards {
		chunks, err := s.list(byte(i))
		if err != nil {
			return removed, fmt.Errorf("sweep chunks: %w", err)
		}
		for _, c := range chunks {
			if err := ctx.Err(); err != nil {
				return removed, err
			}
			if time.Since(c.changed) < olderThan || keep(c.hash) {
				continue
			}
			gone, err := s.remove(c.hash, olderThan)
			if err != nil {
				return removed, fmt.Errorf("sweep chunks: %w", err)
			}
			if gone {
				removed++
			}
		}
	}
	return removed, nil
}

// remove removes the chunk unless it was touched meanwhile.
func (s *Store) remove(hash [32]byte, olderThan time.Duration) (bool, error) {
	sh := &s.shards[hash[0]]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f, err := s.fs.Open(s.path(hash))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	e, err := f.Entry()
	if err = errors.Join(err, f.Close()); err != nil || time.Since(e.Changed) < olderThan {
		return false, err
	}
	if err := s.fs.Remove(s.path(hash)); err != nil {
		return false, err
	}
	s.account(-1, -e.Size)
	return true, nil
}
