package remote

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// headTime is how long the head of a stream is waited for before its reader is
// handed out without: there are servers that send it with the first byte.
const headTime = 3 * time.Second

// tuned is a stream of the server. It may have no head yet.
type tuned struct {
	f      *FS
	cancel context.CancelFunc
	opened chan struct{} // closed once what follows is set
	r      io.ReadCloser
	off    int64 // of the first byte, or -1
	err    error
}

// Tune follows a stream of the server from a place on: "oldest", "now" or an
// offset. It returns the offset of the first byte, -1 if the server has not said
// it; with Range that of the oldest there is. A stream may be silent for ever:
// nothing but ctx and Close ends it.
func (f *FS) Tune(ctx context.Context, p vfs.Path, from string) (io.ReadCloser, int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	ctx, cl, name, err := f.at(ctx, p)
	if err != nil {
		cancel()
		return nil, -1, err
	}
	t := &tuned{f: f, cancel: cancel, opened: make(chan struct{})}
	go t.open(ctx, cl, name, from) // ends with ctx
	wait := f.c.Timeout
	if from == client.Oldest {
		wait = min(wait, headTime)
	}
	patience := time.NewTimer(wait)
	defer patience.Stop()
	select {
	case <-t.opened:
		if err = f.told(t.err); err == nil && t.off < 0 && from != client.Oldest {
			err = vfs.Unsupported.With("the server does not say which bytes of a stream it sends: leave out from")
		}
	case <-patience.C:
		f.b.pass()
		if from == client.Oldest {
			return t, -1, nil
		}
		err = vfs.Unavailable.With(f.silent(errStill))
	}
	if err != nil {
		return nil, t.oldest(), errors.Join(err, t.Close())
	}
	return t, t.off, nil
}

func (t *tuned) open(ctx context.Context, cl *client.Client, name, from string) {
	defer close(t.opened)
	t.r, t.off, t.err = cl.Follow(ctx, name, from)
}

// oldest is what an answer that refuses an offset says is there.
func (t *tuned) oldest() int64 {
	select {
	case <-t.opened:
	default:
		return -1
	}
	var e *client.Error
	if errors.As(t.err, &e) && e.Oldest != nil {
		return *e.Oldest
	}
	return -1
}

// Read reads on, however long it takes the server to have something.
func (t *tuned) Read(b []byte) (int, error) {
	<-t.opened
	if t.err != nil {
		return 0, t.f.said(t.err)
	}
	n, err := t.r.Read(b)
	if err != nil && err != io.EOF {
		err = t.f.said(err)
	}
	return n, err
}

// Close ends the request.
func (t *tuned) Close() error {
	t.cancel()
	<-t.opened
	if t.r == nil {
		return nil
	}
	return t.r.Close()
}
