package queuefs

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// sqlPoll is how often a queue is looked at that somebody waits for. Changes
// through this node are seen at once.
const sqlPoll = 250 * time.Millisecond

// sqlWaits are those who wait for messages on this node: a line for each queue,
// and one goroutine for a line that asks the database.
type sqlWaits struct {
	mu    sync.Mutex
	lines map[vfs.Path]*sqlLine
}

type sqlLine struct {
	waiting []chan struct{} // in the order in which they came
	look    chan struct{}
}

// nudge has the line of a queue look at once.
func (w *sqlWaits) nudge(p vfs.Path) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.lines[p]; l != nil {
		select {
		case l.look <- struct{}{}:
		default:
		}
	}
}

// call gives turns to the first n; none left ends the line, which it reports.
func (w *sqlWaits) call(p vfs.Path, n uint64) (over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.lines[p]
	for ; n > 0 && len(l.waiting) > 0; n-- {
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
	}
	if len(l.waiting) == 0 {
		delete(w.lines, p)
	}
	return len(l.waiting) == 0
}

// join takes a place in the line of a queue; leave gives it up.
func (f *sqlFS) join(p vfs.Path) (turn chan struct{}, leave func()) {
	w := &f.waits
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.lines[p]
	if l == nil {
		l = &sqlLine{look: make(chan struct{}, 1)}
		w.lines[p] = l
		go f.watch(p, l) // until nobody waits
	}
	turn = make(chan struct{})
	l.waiting = append(l.waiting, turn)
	return turn, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		l.waiting = slices.DeleteFunc(l.waiting, func(c chan struct{}) bool { return c == turn })
	}
}

// watch asks how many messages a queue has for those who wait.
func (f *sqlFS) watch(p vfs.Path, l *sqlLine) {
	t := time.NewTicker(sqlPoll)
	defer t.Stop()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		s, err := f.view(ctx, spot{queue: p})
		cancel()
		ready := uint64(1 << 62) // all hear of an error when they try
		if err == nil {
			ready = s.ready
		}
		if f.waits.call(p, ready) {
			return
		}
		select {
		case <-t.C:
		case <-l.look:
		}
	}
}

// hold tries until there is something to take, the time is over, or the client
// has left; then it is Empty.
func (f *sqlFS) hold(ctx context.Context, wait time.Duration, p vfs.Path, try func() (vfs.Result, error)) (vfs.Result, error) {
	r, err := try()
	if wait == 0 {
		return r, err
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	for vfs.KindOf(err) == vfs.Empty {
		turn, leave := f.join(p)
		select {
		case <-turn:
			if ctx.Err() != nil { // it takes nothing any more
				return r, err
			}
			r, err = try()
		case <-over.C:
			leave()
			return r, err
		case <-ctx.Done():
			leave()
			return r, err
		}
	}
	return r, err
}
