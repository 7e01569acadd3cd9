package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// watch looks at the mounts of a plugin while it is tested. A crash is a broken
// law, whatever the law asks; and what takes too long is ended.
type watch struct {
	until atomic.Int64 // Unix time in nanoseconds from which on calls fail at once

	mu    sync.Mutex
	first string // how the first call ended that the plugin did not answer
	late  bool   // calls came after until
}

// plugin returns the plugin with a watch on all its mounts.
func (w *watch) plugin(p vfs.Plugin) vfs.Plugin {
	bare := p.New
	p.New = func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
		fs, err := bare(e, c)
		if d, ok := fs.(vfs.Device); ok {
			fs = &watched{d, w}
		}
		return fs, err
	}
	return p
}

// end has all further calls fail.
func (w *watch) end() { w.until.Store(0) }

// verdict says what was seen; "" for nothing.
func (w *watch) verdict(limit time.Duration) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == "" && w.late {
		return fmt.Sprintf("it did not come to an end within %v: the plugin is slow, or hangs now and then", limit)
	}
	return w.first
}

// call runs one call.
func (w *watch) call(ctx context.Context, verb string, p vfs.Path, do func(context.Context) error) error {
	if time.Now().UnixNano() > w.until.Load() {
		w.mu.Lock()
		w.late = true
		w.mu.Unlock()
		return vfs.Internal.With("there is no time left")
	}
	err := do(ctx)
	switch vfs.KindOf(err) {
	case vfs.Crashed, vfs.Timeout, vfs.Unavailable:
		w.mu.Lock()
		if w.first == "" {
			w.first = fmt.Sprintf("%s %s: %v", verb, p, err)
		}
		w.mu.Unlock()
	}
	return err
}

// watched is one mount.
type watched struct {
	d vfs.Device
	w *watch
}

var (
	_ vfs.Device   = (*watched)(nil)
	_ vfs.Putter   = (*watched)(nil)
	_ vfs.Streamer = (*watched)(nil)
	_ vfs.Tuner    = (*watched)(nil)
	_ vfs.Appender = (*watched)(nil)
	_ vfs.Starter  = (*watched)(nil)
	_ io.Closer    = (*watched)(nil)
)

// Start starts the mount.
func (m *watched) Start(ctx context.Context) error {
	s, ok := m.d.(vfs.Starter)
	if !ok {
		return nil
	}
	return m.w.call(ctx, "start", vfs.Root, s.Start)
}

// Close ends it.
func (m *watched) Close() error { return closeMount(m.d) }

// Stat describes the file at p.
func (m *watched) Stat(ctx context.Context, v vfs.View, p vfs.Path) (i vfs.Info, err error) {
	err = m.w.call(ctx, "stat", p, func(ctx context.Context) (err error) {
		i, err = m.d.Stat(ctx, v, p)
		return err
	})
	return i, err
}

// List names what is in the directory at p.
func (m *watched) List(ctx context.Context, v vfs.View, p vfs.Path, after string, limit int) (out []vfs.Info, err error) {
	err = m.w.call(ctx, "list", p, func(ctx context.Context) (err error) {
		out, err = m.d.List(ctx, v, p, after, limit)
		return err
	})
	return out, err
}

// ReadAt reads from the file at p.
func (m *watched) ReadAt(ctx context.Context, v vfs.View, p vfs.Path, b []byte, off int64) (n int, err error) {
	err = m.w.call(ctx, "read", p, func(ctx context.Context) (err error) {
		n, err = m.d.ReadAt(ctx, v, p, b, off)
		return err
	})
	return n, err
}

// Do makes one change.
func (m *watched) Do(ctx context.Context, op vfs.Op) (r vfs.Result, err error) {
	err = m.w.call(ctx, op.Verb.String(), op.Path, func(ctx context.Context) (err error) {
		r, err = m.d.Do(ctx, op)
		return err
	})
	return r, err
}

// Put replaces a file as a whole; Unsupported where the plugin does not.
func (m *watched) Put(ctx context.Context, op vfs.Op, body io.Reader) (r vfs.Result, err error) {
	d, ok := m.d.(vfs.Putter)
	if !ok {
		return r, vfs.Unsupported
	}
	err = m.w.call(ctx, "put", op.Path, func(ctx context.Context) (err error) {
		r, err = d.Put(ctx, op, body)
		return err
	})
	return r, err
}

// Stream reads on from an offset; Unsupported where the plugin does not.
func (m *watched) Stream(ctx context.Context, p vfs.Path, version uint64, off int64) (r io.ReadCloser, err error) {
	d, ok := m.d.(vfs.Streamer)
	if !ok {
		return nil, vfs.Unsupported
	}
	err = m.w.call(ctx, "stream", p, func(ctx context.Context) (err error) {
		r, err = d.Stream(ctx, p, version, off)
		return err
	})
	return m.heard(r, p), err
}

// Tune follows a stream; Unsupported where the plugin has none.
func (m *watched) Tune(ctx context.Context, p vfs.Path, from string) (r io.ReadCloser, off int64, err error) {
	d, ok := m.d.(vfs.Tuner)
	if !ok {
		return nil, -1, vfs.Unsupported
	}
	err = m.w.call(ctx, "tune", p, func(ctx context.Context) (err error) {
		r, off, err = d.Tune(ctx, p, from)
		return err
	})
	return m.heard(r, p), off, err
}

// Appends reports whether a Write to p puts bytes behind the end.
func (m *watched) Appends(p vfs.Path) bool {
	d, ok := m.d.(vfs.Appender)
	return ok && d.Appends(p)
}

// heard watches what is read of r; nil stays nil.
func (m *watched) heard(r io.ReadCloser, p vfs.Path) io.ReadCloser {
	if r == nil {
		return nil
	}
	return &watchedReader{r, m.w, p}
}

// watchedReader is a stream of a mount.
type watchedReader struct {
	io.ReadCloser
	w *watch
	p vfs.Path
}

// Read reads on.
func (r *watchedReader) Read(b []byte) (n int, err error) {
	err = r.w.call(context.Background(), "read on", r.p, func(context.Context) (err error) {
		n, err = r.ReadCloser.Read(b)
		return err
	})
	return n, err
}
