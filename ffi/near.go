package ffi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// near reaches an instance in this process. Nothing stands between the two: a
// library that faults ends the process, and a call that does not end is waited for.
type near struct {
	f     *FS
	free  chan struct{} // as many as calls may be in the library at once
	files *files        // set once before the first call

	mu   sync.Mutex
	over bool
	gone chan struct{} // closed once it is over
}

var _ reach = (*near)(nil)

func newNear(f *FS) *near {
	return &near{f: f, free: make(chan struct{}, f.lib.Limits.Instances), gone: make(chan struct{})}
}

// mostLoads is how many loads of one library may be under way: one that does not end
// keeps its thread, and is tried again.
const mostLoads = 4

// start loads the library.
func (r *near) start(ctx context.Context) error {
	h := r.f.host
	if !h.loads(r.f.lib.Sum, 1) {
		return vfs.Unavailable.With("the library is still being loaded by earlier mounts of it")
	}
	loaded := make(chan error, 1)
	go func() {
		err := r.load(ctx)
		h.loads(r.f.lib.Sum, -1)
		loaded <- err
	}()
	late := time.NewTimer(h.start)
	defer late.Stop()
	select {
	case err := <-loaded:
		return err
	case <-ctx.Done():
	case <-late.C:
	}
	r.end()
	return vfs.Timeout.With("the plugin does not start")
}

// loads counts a load of a library into this process, or its end; it is not ok if
// there are too many.
func (h *Host) loads(sum string, more int) (ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.loading[sum]+more > mostLoads {
		return false
	}
	if h.loading[sum] += more; h.loading[sum] == 0 {
		delete(h.loading, sum)
	}
	return true
}

// load makes the instance, and lets calls in.
func (r *near) load(ctx context.Context) error {
	f := r.f
	code, err := f.code(ctx)
	if err != nil {
		return err
	}
	text, err := f.settings()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(code)
	set := Settings{Sum: hex.EncodeToString(sum[:]), Config: text, ABI: f.lib.ABI, Beside: f.lib.Limits.Instances > 1}
	f.env.Starts()
	d, guest, err := f.host.open(set, code)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return errors.Join(errStarted, guest.Close())
	}
	f.env.Log.Warn("native plugin runs in the server: one that crashes ends this node", "plugin", f.lib.Name, "mount", f.env.Mount)
	r.files = &files{guest: guest, verbs: d.Verbs}
	for range cap(r.free) {
		r.free <- struct{}{}
	}
	return nil
}

// close ends the instance once no call is under way: one that still is keeps it.
func (r *near) close() {
	if !r.end() {
		return
	}
	ended := make(chan struct{})
	go func() {
		for range cap(r.free) {
			<-r.free
		}
		if err := r.files.guest.Close(); err != nil {
			r.f.env.Log.Warn("plugin does not shut down", "error", err)
		}
		close(ended)
	}()
	late := time.NewTimer(stopTime)
	defer late.Stop()
	select {
	case <-ended:
	case <-late.C:
		r.f.env.Log.Warn("plugin is still in a call, and ends after it")
	}
}

// end lets no call in any more, and reports whether there is an instance to end.
func (r *near) end() (loaded bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	r.over = true
	close(r.gone)
	return r.files != nil
}

// enter waits until the library may be called. leave lets the next one in.
func (r *near) enter(ctx context.Context) error {
	select {
	case <-r.gone:
		return vfs.Unavailable.With("the plugin is stopped")
	default:
	}
	select {
	case <-r.free:
		return nil
	default:
	}
	select {
	case <-r.free:
		return nil
	case <-r.gone:
		return vfs.Unavailable.With("the plugin is stopped")
	case <-ctx.Done():
		return vfs.Throttled.With("the plugin is busy")
	}
}

func (r *near) leave() { r.free <- struct{}{} }

func (r *near) stat(ctx context.Context, p vfs.Path) (vfs.Info, error) {
	if err := r.enter(ctx); err != nil {
		return vfs.Info{}, err
	}
	defer r.leave()
	return r.files.stat(p)
}

func (r *near) list(ctx context.Context, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	if err := r.enter(ctx); err != nil {
		return nil, err
	}
	defer r.leave()
	return r.files.list(p, after, limit)
}

func (r *near) readAt(ctx context.Context, p vfs.Path, b []byte, off int64) (n int, end bool, err error) {
	if err := r.enter(ctx); err != nil {
		return 0, false, err
	}
	defer r.leave()
	// A plugin makes new memory for what it answers: long pieces cost more.
	n, err = r.files.readAt(p, b[:min(len(b), laneBody)], off)
	if errors.Is(err, io.EOF) {
		return n, true, nil
	}
	return n, false, err
}

func (r *near) do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	if err := r.enter(ctx); err != nil {
		return vfs.Result{}, err
	}
	defer r.leave()
	return r.files.do(op)
}
