package bench

import (
	"errors"
	"os"
)

// Pages of a Synced, and the bytes of one.
const (
	syncedPages = 2048
	syncedPage  = 4096
)

// Synced writes 4 KiB at a time to a file, each write durable when it returns.
// There are two ways: a log made ready beforehand is overwritten in place, and
// fdatasync writes its data alone; a file that grows has its new length written,
// too, and fsync waits for the journal of the file system. The first is the
// least that a durable server can do.
type Synced struct {
	file  *os.File
	grows bool
	page  [syncedPage]byte
	n     int64
}

// NewSynced makes the file, of the one way or of the other.
func NewSynced(name string, grows bool) (*Synced, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	s := &Synced{file: f, grows: grows}
	if grows {
		return s, nil
	}
	// Room that was never written would be marked as written by each first write.
	if _, err := f.Write(make([]byte, syncedPages*syncedPage)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// Write writes the next 4 KiB.
func (s *Synced) Write() error {
	s.page[0]++
	if s.grows {
		if _, err := s.file.Write(s.page[:]); err != nil {
			return err
		}
		return s.file.Sync()
	}
	_, err := s.file.WriteAt(s.page[:], s.n%syncedPages*syncedPage)
	s.n++
	if err != nil {
		return err
	}
	return dataSync(s.file)
}

// Close closes the file, which stays.
func (s *Synced) Close() error { return s.file.Close() }
