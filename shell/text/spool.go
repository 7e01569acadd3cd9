package text

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// spoolMemory is what a spool keeps in memory, in bytes.
const spoolMemory = 16 << 20

// spool keeps what is written to it: in memory, and what is more in a temporary file
// without a name. The zero value is empty.
type spool struct {
	memory bytes.Buffer
	file   *os.File
	size   int64
}

// Write keeps p.
func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && s.memory.Len()+len(p) <= spoolMemory {
		s.size += int64(len(p))
		return s.memory.Write(p)
	}
	if s.file == nil {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	n, err := s.file.Write(p)
	s.size += int64(n)
	return n, err
}

func (s *spool) spill() error {
	f, err := unnamed()
	if err != nil {
		return err
	}
	s.file = f
	_, err = s.memory.WriteTo(f)
	s.memory = bytes.Buffer{}
	return err
}

// unnamed makes a temporary file that is gone when it is closed, however that comes.
func unnamed() (*os.File, error) {
	f, err := os.CreateTemp("", "pfs-text-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// reader reads all from the start.
func (s *spool) reader() *io.SectionReader {
	if s.file != nil {
		return io.NewSectionReader(s.file, 0, s.size)
	}
	return io.NewSectionReader(bytes.NewReader(s.memory.Bytes()), 0, s.size)
}

func (s *spool) close() {
	if s.file != nil {
		s.file.Close() // it has no name: it is gone
	}
}
