package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a copy is, on a terminal only.
type progress struct{ bar *progressbar.ProgressBar }

// progress starts a bar for a number of bytes; -1 when it is not known.
func (a *app) progress(bytes int64) progress {
	if a.quiet || !terminal(a.stderr) {
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

// seeker counts what is read from f.
func (p progress) seeker(f *os.File) io.ReadSeeker {
	if p.bar == nil {
		return f
	}
	return &countingFile{f, p}
}

type countingFile struct {
	f *os.File
	p progress
}

func (c *countingFile) Read(b []byte) (int, error) {
	n, err := c.f.Read(b)
	c.p.add(int64(n))
	return n, err
}

func (c *countingFile) Seek(off int64, whence int) (int64, error) { return c.f.Seek(off, whence) }
