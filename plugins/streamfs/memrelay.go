package streamfs

import (
	"context"
	"io"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

const (
	// linger is how long a stream is relayed on that nobody follows any more:
	// who was cut off asks again soon.
	linger      = 5 * time.Second
	lingerers   = 64 // streams that are, at most
	relayQuiet  = 5 * time.Second
	relayAnswer = 8 * time.Second // for the owner to say what it has
	relayCost   = 4 * blockMost   // what a relay takes beside its ring, and has though the memory is used up
)

// Relay stands on a node for a Memory that lives on another one. However many
// readers a stream has here, it comes from the owner once, into a ring like that
// of the owner, and each reads from there.
type Relay struct {
	vfs.Far
	keep  int64
	held  budget
	quiet time.Duration // after which a silent owner is asked

	mu        sync.Mutex
	feeds     map[vfs.Path]*feed
	lingering int
	closed    bool
	wg        sync.WaitGroup // feeds
}

var (
	_ vfs.Device   = (*Relay)(nil)
	_ vfs.Tuner    = (*Relay)(nil)
	_ vfs.Appender = (*Relay)(nil)
	_ io.Closer    = (*Relay)(nil)
)

// feed is a stream on its way from the owner.
type feed struct {
	path   vfs.Path
	cancel context.CancelCauseFunc
	ready  chan struct{} // closed once live or err is set
	live   *live
	err    error

	users  int // under the lock of the Relay
	linger *time.Timer
}

// Relay returns what stands for the mount on another node; far leads to this one.
func (m *Memory) Relay(far vfs.Far) vfs.FileSystem {
	return &Relay{Far: far, keep: m.keep, held: budget{most: m.held.most}, quiet: relayQuiet, feeds: map[vfs.Path]*feed{}}
}

// Appends reports whether p is or may be a stream.
func (r *Relay) Appends(p vfs.Path) bool { return p != readmePath }

// Stat describes p; active_readers are those of this node.
func (r *Relay) Stat(ctx context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	i, err := r.Far.Stat(ctx, v, p)
	r.count(&i, p)
	return i, err
}

// List returns the entries of a directory, as Stat describes them.
func (r *Relay) List(ctx context.Context, v vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	all, err := r.Far.List(ctx, v, p, after, limit)
	for n := range all {
		r.count(&all[n], p.Child(all[n].Name))
	}
	return all, err
}

func (r *Relay) count(i *vfs.Info, p vfs.Path) {
	if i.Meta.Content[readersKey] == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	users := 0
	if f := r.feeds[p]; f != nil {
		users = f.users
	}
	i.Meta.Content[readersKey] = strconv.Itoa(users)
}

// Tune follows the stream at p through the relay of this node.
func (r *Relay) Tune(ctx context.Context, p vfs.Path, from string) (io.ReadCloser, int64, error) {
	if vfs.Hopped(ctx) {
		return r.Far.Tune(ctx, p, from) // which refuses it
	}
	f, err := r.join(p)
	if err != nil {
		return nil, -1, err
	}
	select {
	case <-f.ready:
		err = f.err
	case <-ctx.Done():
		err = errLeft
	}
	off := int64(-1)
	if err == nil {
		off, err = r.place(ctx, f, from)
	}
	if err != nil {
		r.leave(f)
		return nil, off, err
	}
	return f.live.listen(off, ctx.Done(), func() { r.leave(f) }), off, nil
}

// place finds out where to begin. What the relay has not got yet, the owner may.
func (r *Relay) place(ctx context.Context, f *feed, from string) (int64, error) {
	oldest, end, _ := f.live.look()
	if from != "now" {
		off, err := place(from, oldest, end)
		if n, _ := strconv.ParseInt(from, 10, 64); err == nil || off < 0 || n < oldest {
			return off, err
		}
	}
	first, last, err := r.owns(ctx, f.path)
	if err != nil {
		return -1, err
	}
	oldest, end, _ = f.live.look()
	if first > end || last < 0 && end > f.live.first { // another one, or none any more
		return -1, vfs.Unavailable.With("the stream begins anew: try again")
	}
	return place(from, oldest, max(end, last))
}

// owns asks the owner where a stream begins, with the first byte that was ever
// written, and ends; it ends at -1 if it is awaited only.
func (r *Relay) owns(ctx context.Context, p vfs.Path) (first, end int64, err error) {
	i, err := r.Far.Stat(ctx, nil, p)
	if vfs.KindOf(err) == vfs.NotFound {
		return 0, -1, nil
	}
	if err != nil {
		return 0, 0, err
	}
	if end, err = strconv.ParseInt(i.Meta.Content[endKey], 10, 64); err != nil {
		return 0, 0, vfs.Unavailable.With("the node that the stream lives on does not say what it has: try again")
	}
	return end - i.Size, end, nil
}

// join returns the feed of a stream; it begins one if there is none.
func (r *Relay) join(p vfs.Path) (*feed, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errUnmounted
	}
	f := r.feeds[p]
	if f == nil {
		if !r.held.take(relayCost) {
			if !r.evict() {
				return nil, errFull
			}
			r.held.give(-relayCost) // the other one gives it back in a moment
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		f = &feed{path: p, cancel: cancel, ready: make(chan struct{})}
		r.feeds[p] = f
		r.wg.Go(func() {
			defer r.held.give(relayCost)
			r.run(ctx, f)
		})
	}
	if f.linger != nil {
		f.linger.Stop()
		f.linger = nil
		r.lingering--
	}
	f.users++
	return f, nil
}

// evict stops a feed that nobody follows any more, if there is one. The caller
// holds mu.
func (r *Relay) evict() bool {
	for _, f := range r.feeds { // any order
		if f.linger != nil {
			r.stop(f)
			return true
		}
	}
	return false
}

// leave lets a reader go. The feed ends some time after the last one.
func (r *Relay) leave(f *feed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.users--; f.users > 0 || r.feeds[f.path] != f {
		return
	}
	if r.lingering >= lingerers {
		r.stop(f)
		return
	}
	r.lingering++
	var t *time.Timer
	t = time.AfterFunc(linger, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if f.linger == t && r.feeds[f.path] == f {
			r.stop(f)
		}
	})
	f.linger = t
}

// stop ends a feed that is followed by nobody, or by nobody any more. The caller
// holds mu.
func (r *Relay) stop(f *feed) {
	if f.linger != nil {
		f.linger.Stop()
		f.linger = nil
		r.lingering--
	}
	if r.feeds[f.path] == f {
		delete(r.feeds, f.path)
	}
	f.cancel(errUnmounted)
}

// run brings a stream from the owner until one of them ends.
func (r *Relay) run(ctx context.Context, f *feed) {
	why := r.bring(ctx, f)
	r.mu.Lock()
	r.stop(f) // before its readers hear of it: those who come back begin another one
	r.mu.Unlock()
	if f.live == nil {
		f.err = why
		close(f.ready)
	} else {
		f.live.finish(why)
	}
}

// bring copies what comes, and returns why nothing more does.
func (r *Relay) bring(ctx context.Context, f *feed) error {
	from, off, err := r.Far.Tune(ctx, f.path, "oldest")
	if err != nil {
		return err
	}
	defer from.Close()
	if off < 0 {
		return vfs.Unavailable.With("the node that the stream lives on does not say what it has: try again")
	}
	f.live = newLive(off, memRing{most: r.keep, held: &r.held, yields: true})
	close(f.ready)
	heard := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() { // waited for below
		defer close(done)
		r.ask(ctx, f, heard)
	}()
	defer func() { f.cancel(nil); <-done }()
	buf := make([]byte, blockMost)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, aerr := f.live.append(buf[:n], math.MaxInt64); aerr != nil {
				return aerr
			}
			select {
			case heard <- struct{}{}:
			default:
			}
		}
		switch cause := context.Cause(ctx); {
		case err == io.EOF:
			return errRemoved
		case err != nil && cause != nil:
			return cause
		case err != nil:
			return vfs.Unavailable.Withf("the stream does not come any more: %v", err)
		}
	}
}

// ask asks the owner of a stream that is silent whether it is still there: the
// connection to a machine that has lost its power says nothing.
func (r *Relay) ask(ctx context.Context, f *feed, heard <-chan struct{}) {
	quiet := time.NewTimer(r.quiet)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-heard:
		case <-quiet.C:
			one, cancel := context.WithTimeout(ctx, relayAnswer)
			_, err := r.Far.Stat(one, nil, f.path)
			cancel()
			if k := vfs.KindOf(err); err != nil && k != vfs.NotFound && k != vfs.NotDirectory {
				f.cancel(err) // does nothing if ctx is over
				return
			}
		}
		quiet.Reset(r.quiet)
	}
}

// Close ends all streams: their readers are cut off.
func (r *Relay) Close() error {
	r.mu.Lock()
	r.closed = true
	for _, f := range r.feeds { // any order
		f.cancel(errUnmounted)
	}
	r.mu.Unlock()
	r.wg.Wait()
	return nil
}
