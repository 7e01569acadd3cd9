package remote

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// watch ends a transfer that stands still, however long it takes as a whole.
type watch struct {
	cancel   context.CancelCauseFunc
	patience time.Duration
	t        *time.Timer
}

func (f *FS) watch(ctx context.Context) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{cancel: cancel, patience: f.c.Timeout}
	w.t = time.AfterFunc(w.patience, func() { cancel(errStill) })
	return ctx, w
}

// wait starts the time in which the server is to do something.
func (w *watch) wait() { w.t.Reset(w.patience) }

// rest stops it: it is not the server that is waited for.
func (w *watch) rest() { w.t.Stop() }

func (w *watch) end() {
	w.t.Stop()
	w.cancel(nil)
}

// Stream reads on from an offset.
func (f *FS) Stream(ctx context.Context, p vfs.Path, version uint64, off int64) (io.ReadCloser, error) {
	ctx, w := f.watch(ctx)
	ctx, cl, name, err := f.at(ctx, p)
	if err != nil {
		w.end()
		return nil, err
	}
	var opts []client.Option
	if version > 0 {
		opts = append(opts, client.IfMatch(etag(version)))
	}
	r, err := cl.OpenRange(ctx, name, client.Range{Off: off, Size: -1}, opts...)
	if err != nil {
		w.end()
		return nil, f.told(err)
	}
	w.rest()
	_ = f.told(nil)
	return &download{r, f, w}, nil
}

var errStill = errors.New("it stands still")

type download struct {
	io.ReadCloser
	f *FS
	w *watch
}

// Read reads on, and gives up on a server that sends nothing.
func (d *download) Read(b []byte) (int, error) {
	d.w.wait()
	n, err := d.ReadCloser.Read(b)
	d.w.rest()
	if err != nil && err != io.EOF {
		err = d.f.said(err)
	}
	return n, err
}

// Size is how many bytes there are in all, -1 if the server does not say.
func (d *download) Size() int64 {
	if s, ok := d.ReadCloser.(interface{ Size() int64 }); ok {
		return s.Size()
	}
	return -1
}

// Close ends the request.
func (d *download) Close() error {
	defer d.w.end()
	return d.ReadCloser.Close()
}

// Put replaces a file by what r has.
func (f *FS) Put(ctx context.Context, op vfs.Op, r io.Reader) (vfs.Result, error) {
	if f.plain() && (op.If.Kind != vfs.Always || op.Flag&vfs.FlagExclusive != 0) {
		return vfs.Result{}, vfs.Unsupported // Do says why
	}
	ctx, w := f.watch(ctx)
	defer w.end()
	ctx, cl, name, err := f.at(ctx, op.Path)
	if err != nil {
		return vfs.Result{}, err
	}
	up := &upload{r: r, w: w}
	defer up.end()
	opts := f.options(ctx, op)
	switch {
	case op.Off == vfs.AtEnd:
		opts = append(opts, client.Flags(flags(op)))
	case op.Flag&vfs.FlagExclusive != 0:
		opts = append(opts, client.Flags("create,exclusive,truncate"))
	}
	out, err := cl.Write(ctx, name, up, -1, opts...)
	for try := 1; try < f.c.Servers && up.untouched(err); try++ {
		out, err = cl.Write(ctx, name, up, -1, opts...) // asks the next server
	}
	return vfs.Result{N: up.end(), Version: version(out.ETag), Data: extra(out.Body)}, f.told(err)
}

// upload is a body on its way to the server. While it is read, the time of the
// server stands still.
type upload struct {
	w *watch

	mu   sync.Mutex
	r    io.Reader
	n    int64
	over bool
}

// Read counts what passes.
func (u *upload) Read(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.over {
		return 0, io.ErrClosedPipe
	}
	u.w.rest()
	n, err := u.r.Read(b)
	u.n += int64(n)
	if err == nil {
		u.w.wait()
	} else {
		u.w.t.Reset(u.w.patience + time.Duration(u.n/syncRate)*time.Second)
	}
	return n, err
}

// untouched reports whether nothing was read for a request that was never sent.
func (u *upload) untouched(err error) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	var gone *client.Unreachable
	return u.n == 0 && errors.As(err, &gone) && gone.Refused()
}

// end waits for a Read under way, lets no more happen, and returns how many
// bytes there were: whose body it is takes it back now.
func (u *upload) end() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
	return u.n
}

// syncRate is how many bytes a second a server brings to its disk at least, once
// it has all of a file.
const syncRate = 8 << 20
