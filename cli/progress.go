package cli

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Progress shows how far a copy is, on a terminal only.
type Progress struct{ bar *progressbar.ProgressBar }

// Progress starts a bar for a number of bytes; -1 when it is not known.
func (e *Env) Progress(bytes int64) Progress {
	if e.Quiet || !e.TTY {
		return Progress{}
	}
	screen := e.Screen
	if screen == nil {
		_, screen = e.Files()
	}
	return Progress{progressbar.NewOptions64(bytes, progressbar.OptionSetWriter(screen), // it fits itself to a terminal alone
		progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))}
}

// Add shows n more bytes.
func (p Progress) Add(n int64) {
	if p.bar != nil {
		_ = p.bar.Add64(n) // a bar that cannot be drawn is no reason to stop
	}
}

// Finish takes the bar away.
func (p Progress) Finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

// Seeker shows what is read from f.
func (p Progress) Seeker(f *os.File) io.ReadSeeker {
	if p.bar == nil {
		return f
	}
	return &shownFile{f, p}
}

type shownFile struct {
	f *os.File
	p Progress
}

func (s *shownFile) Read(b []byte) (int, error) {
	n, err := s.f.Read(b)
	s.p.Add(int64(n))
	return n, err
}

func (s *shownFile) Seek(off int64, whence int) (int64, error) {
	at, err := s.f.Seek(off, whence)
	if err == nil && s.p.bar != nil {
		_ = s.p.bar.Set64(at)
	}
	return at, err
}

// Writer shows what is written to w.
func (p Progress) Writer(w io.Writer) io.Writer {
	if p.bar == nil {
		return w
	}
	return io.MultiWriter(w, p.bar)
}
