package devices

import (
	"context"
	"errors"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// host is a Device with a guard around it: calls are counted, so that it is
// closed under none of them, and a panic in it is an error.
type host struct {
	mount vfs.Mounted
	fs    vfs.FileSystem
	c     Config

	ending context.Context // over once the mount goes
	going  context.CancelFunc

	mu    sync.Mutex
	last  uint64                        // call
	calls map[uint64]context.CancelFunc // under way
	ended bool
	idle  chan struct{} // closed once it has ended and no call is under way
}

var (
	_ vfs.Device   = (*host)(nil)
	_ vfs.Putter   = (*host)(nil)
	_ vfs.Streamer = (*host)(nil)
	_ vfs.Tuner    = (*host)(nil)
	_ vfs.Replier  = (*host)(nil)
	_ vfs.Keyer    = (*host)(nil)
	_ vfs.Optioned = (*host)(nil)
	_ vfs.Appender = (*host)(nil)
	_ vfs.Queuer   = (*host)(nil)
	_ vfs.Stater   = (*host)(nil)
)

func newHost(m vfs.Mounted, fs vfs.FileSystem, c Config) *host {
	h := &host{mount: m, fs: fs, c: c, calls: map[uint64]context.CancelFunc{}, idle: make(chan struct{})}
	h.ending, h.going = context.WithCancel(context.Background())
	return h
}

// enter lets a call in; leave ends it.
func (h *host) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	if h.mount.Roams && h.mount.Node == h.c.Node && h.c.Holds != nil && !h.c.Holds() {
		return nil, nil, errCutOff
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return nil, nil, &vfs.Error{Kind: vfs.Unavailable, Reason: "unmounted", Starting: h.mount.Path} // perhaps mounted anew
	}
	ctx, cancel := context.WithCancel(ctx)
	h.last++
	id := h.last
	h.calls[id] = cancel
	return ctx, func() { h.left(id) }, nil
}

func (h *host) left(id uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	cancel, ok := h.calls[id]
	if !ok {
		return // twice
	}
	cancel()
	delete(h.calls, id)
	if len(h.calls) == 0 && h.ended {
		close(h.idle)
	}
}

// abort ends the contexts of all calls under way.
func (h *host) abort() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, cancel := range h.calls {
		cancel()
	}
}

// end lets nobody in any more, waits for calls under way, whose contexts end within
// patience, and closes the Device.
func (h *host) end(patience time.Duration) {
	h.going()
	h.mu.Lock()
	h.ended = true
	if len(h.calls) == 0 {
		close(h.idle)
	}
	h.mu.Unlock()
	if patience <= 0 {
		h.abort()
	} else {
		defer time.AfterFunc(patience, h.abort).Stop()
	}
	<-h.idle
	defer func() { _ = h.caught(recover()) }()
	if err := closeFS(h.fs); err != nil {
		h.c.Log.Warn("mount does not close", "path", string(h.mount.Path), "type", h.mount.Type, "error", err)
	}
}

// caught makes a panic an error that clients may see.
func (h *host) caught(p any) error {
	if p == nil {
		return nil
	}
	h.c.Log.Error("mount panicked", "path", string(h.mount.Path), "type", h.mount.Type, "panic", p, "stack", string(debug.Stack()))
	return vfs.Internal.With("the plugin failed")
}

// told tells who counts them of a call that has ended with err.
func (h *host) told(began time.Time, err *error) {
	if h.c.Called == nil {
		return
	}
	failed := *err
	if failed == io.EOF { // of a file
		failed = nil
	}
	h.c.Called(h.mount, time.Since(began), failed)
}

// guard runs one call.
func (h *host) guard(ctx context.Context, call func(ctx context.Context) error) (err error) {
	ctx, leave, err := h.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	defer h.told(time.Now(), &err)
	defer func() {
		if perr := h.caught(recover()); perr != nil {
			err = perr
		}
	}()
	return call(ctx)
}

// Stat describes the file at p.
func (h *host) Stat(ctx context.Context, _ vfs.View, p vfs.Path) (i vfs.Info, err error) {
	err = h.guard(ctx, func(ctx context.Context) (err error) {
		i, err = h.fs.Stat(ctx, nil, p)
		return err
	})
	return i, err
}

// List names what is in the directory at p.
func (h *host) List(ctx context.Context, _ vfs.View, p vfs.Path, after string, limit int) (out []vfs.Info, err error) {
	err = h.guard(ctx, func(ctx context.Context) (err error) {
		out, err = h.fs.List(ctx, nil, p, after, limit)
		return err
	})
	return out, err
}

// ReadAt reads from the file at p.
func (h *host) ReadAt(ctx context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (n int, err error) {
	err = h.guard(ctx, func(ctx context.Context) (err error) {
		n, err = h.fs.ReadAt(ctx, nil, p, b, off)
		return err
	})
	return n, err
}

// Do runs an Op.
func (h *host) Do(ctx context.Context, op vfs.Op) (r vfs.Result, err error) {
	d, ok := h.fs.(vfs.Device)
	if !ok {
		return r, vfs.Unsupported
	}
	err = h.guard(ctx, func(ctx context.Context) (err error) {
		r, err = d.Do(ctx, op)
		return err
	})
	return r, err
}

// Put writes a whole file; Unsupported where the Device does not.
func (h *host) Put(ctx context.Context, op vfs.Op, body io.Reader) (r vfs.Result, err error) {
	d, ok := h.fs.(vfs.Putter)
	if !ok {
		return r, vfs.Unsupported
	}
	err = h.guard(ctx, func(ctx context.Context) (err error) {
		r, err = d.Put(ctx, op, body)
		return err
	})
	return r, err
}

// Reply renders what a Consume took, as it is where the Device does not.
func (h *host) Reply(ctx context.Context, r vfs.Result, w io.Writer) error {
	d, ok := h.fs.(vfs.Replier)
	if !ok {
		_, err := w.Write(r.Data)
		return err
	}
	return h.guard(ctx, func(ctx context.Context) error { return d.Reply(ctx, r, w) })
}

// Options returns what the Device takes beside a Write or a Consume of p.
func (h *host) Options(v vfs.View, verb vfs.Verb, p vfs.Path) ([]string, error) {
	d, ok := h.fs.(vfs.Optioned)
	if !ok {
		return nil, nil
	}
	return d.Options(v, verb, p)
}

// KeepsKeys reports whether idempotency keys are kept behind the Device.
func (h *host) KeepsKeys() bool {
	d, ok := h.fs.(vfs.Keyer)
	return ok && d.KeepsKeys()
}

// MountState says how the mount fares; a Device that does not tell is up.
func (h *host) MountState() vfs.MountState {
	if s, ok := h.fs.(vfs.Stater); ok {
		return s.MountState()
	}
	return vfs.MountState{Status: vfs.MountUp}
}

// Appends reports whether a Write to p puts bytes behind the end.
func (h *host) Appends(p vfs.Path) bool {
	d, ok := h.fs.(vfs.Appender)
	return ok && d.Appends(p)
}

// Queues describes the queues of the Device, none where it has none.
func (h *host) Queues(ctx context.Context, v vfs.View, most, closely int) (out []vfs.QueueState, err error) {
	d, ok := h.fs.(vfs.Queuer)
	if !ok {
		return nil, nil
	}
	err = h.guard(ctx, func(ctx context.Context) (err error) {
		out, err = d.Queues(ctx, v, most, closely)
		return err
	})
	return out, err
}

// Stream reads on from an offset; Unsupported where the Device does not. The
// call is under way until the reader is closed.
func (h *host) Stream(ctx context.Context, p vfs.Path, version uint64, off int64) (_ io.ReadCloser, err error) {
	d, ok := h.fs.(vfs.Streamer)
	if !ok {
		return nil, vfs.Unsupported
	}
	return h.open(ctx, func(ctx context.Context) (io.ReadCloser, error) { return d.Stream(ctx, p, version, off) })
}

// Tune follows a stream; Unsupported where the Device has none. It ends when the
// mount does: nobody waits for it.
func (h *host) Tune(ctx context.Context, p vfs.Path, from string) (_ io.ReadCloser, off int64, err error) {
	d, ok := h.fs.(vfs.Tuner)
	if !ok {
		return nil, -1, vfs.Unsupported
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(h.ending, cancel)
	r, err := h.open(ctx, func(ctx context.Context) (r io.ReadCloser, err error) {
		r, off, err = d.Tune(ctx, p, from)
		return r, err
	})
	if err != nil {
		stop()
		cancel()
		return nil, off, err
	}
	return &tuned{r, stop, cancel}, off, nil
}

// tuned is a stream that ends with its mount.
type tuned struct {
	io.ReadCloser
	stop   func() bool
	cancel context.CancelFunc
}

// Close ends it.
func (t *tuned) Close() error {
	defer t.cancel()
	t.stop()
	return t.ReadCloser.Close()
}

// open opens a reader. The call is under way until that is closed.
func (h *host) open(ctx context.Context, open func(ctx context.Context) (io.ReadCloser, error)) (_ io.ReadCloser, err error) {
	ctx, leave, err := h.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer h.told(time.Now(), &err)
	var r io.ReadCloser
	defer func() {
		if perr := h.caught(recover()); perr != nil {
			err = perr
		}
		if err != nil {
			leave()
		}
	}()
	if r, err = open(ctx); err != nil {
		return nil, err
	}
	return &stream{ReadCloser: r, h: h, leave: leave}, nil
}

// stream is a reader that holds its Device open.
type stream struct {
	io.ReadCloser
	h     *host
	leave func()
	once  sync.Once
}

// Read makes a panic an error.
func (s *stream) Read(b []byte) (n int, err error) {
	defer func() {
		if perr := s.h.caught(recover()); perr != nil {
			n, err = 0, perr
		}
	}()
	return s.ReadCloser.Read(b)
}

// Close lets the Device go.
func (s *stream) Close() (err error) {
	s.once.Do(func() {
		defer s.leave()
		defer func() { err = errors.Join(err, s.h.caught(recover())) }()
		err = s.ReadCloser.Close()
	})
	return err
}
