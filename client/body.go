package client

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
)

// upload is a body on its way out in one try. It is not read any more once the
// try is over, and remembers what went wrong on this side.
type upload struct {
	r    io.Reader
	size int64 // bytes; -1: not known

	mu      sync.Mutex // held while r is read
	got     int64
	begin   func() // before the first Read; nil: it was, or nothing is to do
	err     error  // of r, but for EOF
	stopped atomic.Bool
	release func() // ends a Read that r does not; nil: r does
}

var errStopped = errors.New("request is over")

// Read reads on, up to size.
func (u *upload) Read(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.size >= 0 && u.got == u.size {
		return 0, io.EOF // also when it was stopped: the transport looks for more, perhaps after the answer
	}
	if u.stopped.Load() {
		return 0, errStopped
	}
	if u.size >= 0 {
		b = b[:min(int64(len(b)), u.size-u.got)]
	}
	if u.begin != nil {
		u.begin()
		u.begin = nil
	}
	n, err := u.r.Read(b)
	u.got += int64(n)
	if err == io.EOF && u.got < u.size {
		err = io.ErrUnexpectedEOF // it has become shorter
	}
	if err != nil && err != io.EOF && err != errStopped {
		u.err = err
	}
	return n, err
}

// Close is for the transport; r stays open.
func (u *upload) Close() error { return nil }

// stop ends the reading and waits for a Read under way. It returns what went
// wrong with r.
func (u *upload) stop() error {
	u.stopped.Store(true)
	if u.release != nil {
		u.release()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// detach makes Reads end with ctx, even while r gives nothing: the transport
// does not return before the body does. What r gives after that is lost.
func (u *upload) detach(ctx context.Context) {
	pr, pw := io.Pipe()
	r := u.r
	u.begin = func() {
		go func() {
			_, err := io.Copy(pw, r)
			_ = pw.CloseWithError(err) // never fails
		}()
	}
	end := func() { _ = pw.CloseWithError(errStopped) } // never fails
	unhook := context.AfterFunc(ctx, end)
	u.r = pr
	u.release = func() {
		unhook()
		end()
	}
}

// download is a body on its way in. A body that is cut off ends in an error
// that is io.ErrUnexpectedEOF, never in io.EOF.
type download struct {
	r          io.ReadCloser
	size       int64
	verb, path string
}

// Size is how many bytes the body has in all, -1 if the server does not say.
func (d *download) Size() int64 { return d.size }

// Read names the file in errors.
func (d *download) Read(b []byte) (int, error) {
	n, err := d.r.Read(b)
	if err != nil && err != io.EOF {
		err = &fs.PathError{Op: d.verb, Path: d.path, Err: err}
	}
	return n, err
}

// Close ends the transfer.
func (d *download) Close() error { return d.r.Close() }

// raise sets v to at least n.
func raise(v *atomic.Uint64, n uint64) {
	for old := v.Load(); old < n && !v.CompareAndSwap(old, n); old = v.Load() {
	}
}
