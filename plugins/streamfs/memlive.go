package streamfs

import (
	"io"
	"strconv"
	"sync"

	"github.com/pfs-project/pfs/vfs"
)

// live is a stream in memory and those who follow it.
type live struct {
	first int64 // offset of the first byte that was ever written

	mu      sync.RWMutex
	ring    memRing
	news    chan struct{} // closed when the stream changes; nil: nobody waits
	readers int
	over    error // why it has ended; nil while it has not
}

func newLive(first int64, ring memRing) *live {
	ring.oldest, ring.end = first, first
	return &live{first: first, ring: ring}
}

// Why a stream ends.
var (
	errRemoved = vfs.NotFound.With("the stream was removed")
	errMissed  = vfs.Range.With("the stream was removed before all of it was read")
	errFull    = vfs.NoSpace.With("the memory of the mount is used up: remove streams, or give it a larger " + memoryBudget)
)

// append puts p behind the end, and wakes those who wait for it. limit is what
// the end must not pass: later is by how much it would, and nothing was done.
func (l *live) append(p []byte, limit int64) (later int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over != nil:
		return 0, l.over
	case l.ring.end+int64(len(p)) > limit:
		return l.ring.end + int64(len(p)) - limit, nil
	case len(p) == 0:
		return 0, nil
	case !l.ring.append(p):
		return 0, errFull
	}
	l.wake()
	return 0, nil
}

// wake wakes who waits; the caller holds mu.
func (l *live) wake() {
	if l.news != nil {
		close(l.news)
		l.news = nil
	}
}

// finish ends the stream, and gives its memory back at once.
func (l *live) finish(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over == nil {
		l.over = why
		l.ring.drop()
		l.wake()
	}
}

// look returns the offsets of the first byte that is kept and behind the last,
// and how many follow.
func (l *live) look() (oldest, end int64, readers int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.ring.oldest, l.ring.end, l.readers
}

// read fills b from off on. Without bytes and without error it returns what is
// closed when there is news.
func (l *live) read(b []byte, off int64) (n int, news <-chan struct{}, err error) {
	l.mu.RLock()
	n, err = l.next(b, off)
	l.mu.RUnlock()
	if n > 0 || err != nil || len(b) == 0 {
		return n, nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, err = l.next(b, off); n > 0 || err != nil {
		return n, nil, err
	}
	if l.news == nil {
		l.news = make(chan struct{})
	}
	return 0, l.news, nil
}

func (l *live) next(b []byte, off int64) (int, error) {
	switch r := &l.ring; {
	case l.over == errRemoved && off < r.end:
		return 0, errMissed
	case l.over == errRemoved:
		return 0, io.EOF
	case l.over != nil:
		return 0, l.over
	case off < r.oldest:
		return 0, vfs.Range.Withf("offset %d is forgotten, the oldest is %d", off, r.oldest)
	case off < r.end:
		return r.read(b, off), nil
	}
	return 0, nil
}

// place finds out at which offset to begin; end is where the stream ends as far
// as anybody knows. Range comes with the oldest offset.
func place(from string, oldest, end int64) (int64, error) {
	switch from {
	case "oldest":
		return oldest, nil
	case "now":
		return end, nil
	}
	n, err := strconv.ParseInt(from, 10, 64)
	if err != nil {
		return -1, vfs.Invalid.With("from must be oldest, now, or an offset")
	}
	if n < oldest || n > end {
		return oldest, vfs.Range.Withf("the stream has bytes %d to %d", oldest, end)
	}
	return n, nil
}

// listener is a reader of a stream. It has no memory of its own.
type listener struct {
	l     *live
	off   int64
	done  <-chan struct{} // of its context
	leave func()
	once  sync.Once
}

var errLeft = vfs.Unavailable.With("the stream is not followed any more: the mount has gone, or the reader")

// listen counts a reader in; leave, if there is one, is called when it is closed.
func (l *live) listen(off int64, done <-chan struct{}, leave func()) *listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readers++
	return &listener{l: l, off: off, done: done, leave: leave}
}

// Read waits for bytes. io.EOF is the end of the stream; Range says that the
// reader was too slow.
func (r *listener) Read(b []byte) (int, error) {
	for {
		n, news, err := r.l.read(b, r.off)
		if r.off += int64(n); n > 0 || err != nil || news == nil {
			return n, err
		}
		select {
		case <-news:
		case <-r.done:
			return 0, errLeft
		}
	}
}

// Close counts the reader out.
func (r *listener) Close() error {
	r.once.Do(func() {
		r.l.mu.Lock()
		r.l.readers--
		r.l.mu.Unlock()
		if r.leave != nil {
			r.leave()
		}
	})
	return nil
}
