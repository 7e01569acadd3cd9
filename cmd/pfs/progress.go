package main

import (
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a copy is, on a terminal only.
type progress struct{ bar *progressbar.ProgressBar }

// progress starts a bar for a number of bytes; -1 when it is not known.
func (a *app) progress(bytes int64) progress {
	if a.quiet || !a.tty {
		return progress{}
	}
	return progress{progressbar.NewOptions64(bytes, progressbar.OptionSetWriter(a.stderr),
		progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))}
}

func (p progress) add(n int64) {
	if p.bar != nil {
		_ = p.bar.Add64(n) // a bar that cannot be drawn is no reason to stop
	}
}

func (p progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

// seeker shows what is read from f.
func (p progress) seeker(f *os.File) io.ReadSeeker {
	if p.bar == nil {
		return f
	}
	return &shownFile{f, p}
}

type shownFile struct {
	f *os.File
	p progress
}

func (s *shownFile) Read(b []byte) (int, error) {
	n, err := s.f.Read(b)
	s.p.add(int64(n))
	return n, err
}

func (s *shownFile) Seek(off int64, whence int) (int64, error) {
	at, err := s.f.Seek(off, whence)
	if err == nil && s.p.bar != nil {
		_ = s.p.bar.Set64(at)
	}
	return at, err
}

// writer shows what is written to w.
func (p progress) writer(w io.Writer) io.Writer {
	if p.bar == nil {
		return w
	}
	return io.MultiWriter(w, p.bar)
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n atomic.Int64
}

// Read reads on.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}
