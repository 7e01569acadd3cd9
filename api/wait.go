package api

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// maxWait is how long a read may wait for a file to have something.
const maxWait = time.Minute

// waits is the reads that wait for a file to have something to give, in lines:
// one for each row of the state that tells. The state that this node applies
// wakes them, and nothing else: no timer looks, and no proposal is made that is
// bound to be in vain.
type waits struct {
	s *Server

	mu    sync.Mutex
	lines map[string]*line
	count int
	over  chan struct{} // closed when the server stops
	ended bool
}

// line is the reads that wait for one row, in the order in which they came.
// As many of them have a turn at a time as would get something.
type line struct {
	w      *waits
	key    string
	mount  uint64
	path   vfs.Path // in the mount
	unhear []func()
	look   chan struct{} // the row has changed, or a turn is over
	quit   chan struct{}

	waiting []*turn // guarded by waits.mu, as are the fields below
	trying  int
	last    uint64
}

// turn is one read that waits.
type turn struct {
	line *line
	n    uint64     // its place in the line
	come chan error // nil: it may try; an error ends it
	now  bool       // it has been told to
}

func newWaits(s *Server) *waits {
	return &waits{s: s, lines: map[string]*line{}, over: make(chan struct{})}
}

// held returns how many reads wait.
func (w *waits) held() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// enter counts one more that waits, until leave.
func (w *waits) enter() (leave func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count >= w.s.limits.Waits {
		return nil, vfs.Throttled.Withf("%d reads are waiting already", w.count)
	}
	w.count++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.count--
	}, nil
}

// stop ends all waiting, for good.
func (w *waits) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.ended = true
		close(w.over)
	}
}

// join takes a place at the end of the line for a row.
func (w *waits) join(m vfs.Mounted, path vfs.Path, row []byte) (*turn, error) {
	key := string(append(vfs.MountPrefix(m.ID), row...))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count >= w.s.limits.Waits {
		return nil, vfs.Throttled.Withf("%d reads are waiting already", w.count)
	}
	l := w.lines[key]
	if l == nil {
		l = &line{w: w, key: key, mount: m.ID, path: path, look: make(chan struct{}, 1), quit: make(chan struct{})}
		for _, row := range [][]byte{[]byte(key), fsm.MountRow(m.Path)} {
			l.unhear = append(l.unhear, w.s.cfg.Node.Watch(row, l.nudge))
		}
		w.lines[key] = l
		go l.run() // until the last one leaves
	}
	w.count++
	l.last++
	t := &turn{line: l, n: l.last, come: make(chan error, 1)}
	l.waiting = append(l.waiting, t)
	l.nudge()
	return t, nil
}

// leave gives up the place of t, and its turn to the next.
func (t *turn) leave() {
	l := t.line
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.w.count--
	if t.now {
		l.trying--
	} else {
		l.waiting = slices.DeleteFunc(l.waiting, func(o *turn) bool { return o == t })
	}
	if l.trying == 0 && len(l.waiting) == 0 {
		for _, stop := range l.unhear {
			stop()
		}
		close(l.quit)
		delete(l.w.lines, l.key)
		return
	}
	l.nudge()
}

// again puts t back to its place: others were faster.
func (t *turn) again() {
	l := t.line
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	t.now = false
	l.trying--
	i, _ := slices.BinarySearchFunc(l.waiting, t.n, func(o *turn, n uint64) int { return int(o.n) - int(n) })
	l.waiting = slices.Insert(l.waiting, i, t)
	l.nudge()
}

// nudge has the line look at the state again; it does not wait.
func (l *line) nudge() {
	select {
	case l.look <- struct{}{}:
	default:
	}
}

func (l *line) run() {
	for {
		select {
		case <-l.look:
			ready, err := l.ready()
			l.call(ready, err)
		case <-l.quit:
			return
		}
	}
}

// ready returns how many reads would get something.
func (l *line) ready() (n uint64, err error) {
	defer l.w.s.caught(&err)
	img, err := l.w.s.cfg.Node.Image(l.w.s.base, vfs.Level{})
	if err != nil {
		return 0, err
	}
	defer img.Release()
	n, _, err = awaited(img, l.mount, l.path)
	return n, err
}

// awaited asks the filesystem of a mount how many reads of a file would get
// something, and which row tells.
func awaited(img *fsm.Image, mount uint64, path vfs.Path) (n uint64, row []byte, err error) {
	m, ok := img.Table.Mount(mount)
	f, can := m.FS.(vfs.Waiter)
	switch {
	case !ok:
		return 0, nil, vfs.NotFound
	case !can:
		return 0, nil, vfs.Unavailable.With("mount is not up")
	}
	return f.Await(vfs.Sub(img.View, vfs.MountPrefix(mount)), path)
}

// call gives turns to those who have waited longest; with an error, to all.
func (l *line) call(ready uint64, err error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	for len(l.waiting) > 0 && (err != nil || uint64(l.trying) < ready) {
		t := l.waiting[0]
		l.waiting = l.waiting[1:]
		t.now = true
		l.trying++
		t.come <- err
	}
}

// caught turns a panic into an error; a fault of the store ends the node.
func (s *Server) caught(err *error) {
	p := recover()
	if p == nil {
		return
	}
	if f, ok := p.(vfs.StoreFault); ok {
		s.fault(f)
	}
	s.log.Error("handler panicked", "panic", p, "stack", string(debug.Stack()))
	*err = vfs.Internal
}

// await answers a Consume that may wait: with what it gave, or after a while
// with what the file gives for nothing. Nothing is taken for a client that has
// left before its turn has come.
func (c *call) await(m vfs.Mounted, rel vfs.Path, op vfs.Op, wait time.Duration) (change, error) {
	f := m.FS.(vfs.Waiter)
	idle, err := f.Idle(vfs.Op{Verb: vfs.Consume, Path: rel, Target: op.Target})
	if err != nil {
		return change{}, named(err, "read", op.Path)
	}
	o := vfs.ParseOptions(op.Target)
	o["wait"] = "true"
	op.Target = o.Encode()
	if a, err := c.again(op); vfs.KindOf(err) != vfs.Empty {
		return a, err
	}
	t, err := c.queueUp(m, rel)
	if err != nil {
		return change{}, named(err, "read", op.Path)
	}
	defer t.leave()
	a, err := c.inLine(t, op, wait)
	if vfs.KindOf(err) == vfs.Empty { // or an earlier try got something meanwhile
		a, err = c.again(op)
	}
	if vfs.KindOf(err) == vfs.Empty {
		return change{out: vfs.Outcome{Results: []vfs.Result{idle}}, idle: true}, nil
	}
	return a, err
}

// again answers a read whose key has an outcome, from an earlier try; Empty if
// it has none. It asks the voters and not the log, which would grow by an entry
// for each read that waits.
func (c *call) again(op vfs.Op) (change, error) {
	key, err := c.key()
	switch {
	case err != nil:
		return change{}, err
	case key == "":
		return change{}, vfs.Empty
	}
	ctx := c.within()
	defer ctx.End()
	img, err := c.s.cfg.Node.Image(ctx, vfs.Level{Linearizable: true})
	if err != nil {
		return change{}, err
	}
	known := img.Remembers(key)
	img.Release()
	if !known {
		return change{}, vfs.Empty
	}
	return c.commit(op, [32]byte{})
}

// queueUp takes a place in the line of a file.
func (c *call) queueUp(m vfs.Mounted, rel vfs.Path) (*turn, error) {
	ctx := c.within()
	defer ctx.End()
	img, err := c.s.cfg.Node.Image(ctx, vfs.Level{})
	if err != nil {
		return nil, err
	}
	defer img.Release()
	_, row, err := awaited(img, m.ID, rel)
	if err != nil {
		return nil, err
	}
	return c.s.waits.join(m, rel, row)
}

// inLine waits for turns, and tries at each; Empty when the time is over or the
// server stops.
func (c *call) inLine(t *turn, op vfs.Op, wait time.Duration) (change, error) {
	ctx, cancel := context.WithTimeout(c.context(), wait)
	defer cancel()
	left, stop := c.left()
	defer stop()
	gone := named(vfs.Timeout.With("the client has left"), "read", op.Path)
	for {
		since := time.Now()
		select {
		case err := <-t.come:
			c.waited += time.Since(since)
			switch {
			case err != nil:
				return change{}, named(err, "read", op.Path)
			case c.gone():
				return change{}, gone
			}
			a, err := c.commit(op, [32]byte{})
			if vfs.KindOf(err) != vfs.Empty {
				return a, err
			}
			t.again()
		case <-left:
			return change{}, gone
		case <-c.s.waits.over:
			c.waited += time.Since(since)
			return change{}, vfs.Empty
		case <-ctx.Done():
			c.waited += time.Since(since)
			return change{}, vfs.Empty
		}
	}
}

// left returns a channel that is closed when the client closes its side, until
// stop. It stays open where that cannot be known.
func (c *call) left() (left <-chan struct{}, stop func()) {
	if c.conn == nil {
		return nil, func() {}
	}
	return c.conn.left()
}
