package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/trace"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

const (
	maxCalls       = 1024      // under way on one stream
	callMemory     = 128 << 20 // bytes of requests and answers in memory
	strangerFrame  = 64 << 10  // bytes of a frame of a stranger
	callMemoryWait = 5 * time.Second
	goodbyeTime    = 300 * time.Millisecond
)

// handler answers one call of a member, and of others as far as it says so.
// The request is only valid until it returns; what it returns is held by the
// buffer, if it gives one.
type handler struct {
	strangers bool // also for nodes that are not of our cluster
	newcomers bool // also for nodes that are, but not in the configuration
	early     bool // also before raft runs
	serve     func(ctx context.Context, from string, request []byte) (reply, error)
}

type reply struct {
	payload []byte
	held    *buffer // freed once the payload is written
}

// desk answers calls.
type desk struct {
	handlers map[byte]handler
	catch    func()       // deferred in every call
	up       *atomic.Bool // raft runs
	memory   *budget
	buffers  *buffers
	log      *slog.Logger
	slow     time.Duration // a call of a client's request that takes longer is told
	roster   *roster
	refused  *refusals
	gate     gate // of calls being answered

	mu    sync.Mutex
	lines map[*line]struct{}
}

// outgoing is an answer on its way to the wire.
type outgoing struct {
	frame frame
	held  *buffer
	gate  *gate // left once it is there; may be nil
}

// line is one accepted stream of calls.
type line struct {
	d    *desk
	s    stream
	out  chan outgoing
	done chan struct{}
	once sync.Once
	wg   sync.WaitGroup
}

// serve answers the calls of a stream until it ends, and waits for those under
// way.
func (d *desk) serve(ctx context.Context, s stream) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &line{d: d, s: s, out: make(chan outgoing, frameQueue), done: make(chan struct{})}
	d.mu.Lock()
	d.lines[l] = struct{}{}
	d.mu.Unlock()
	l.wg.Go(l.write)
	err := l.read(ctx)
	l.end()
	d.mu.Lock()
	delete(d.lines, l)
	d.mu.Unlock()
	cancel()
	l.wg.Wait()
	for len(l.out) > 0 {
		o := <-l.out
		o.free()
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		d.log.Debug("stream ended", "from", s.from, "error", err)
	}
}

// drain answers no new calls and waits for those under way. Then it says
// goodbye on every stream: what has no answer by then will have none, so that
// callers know that nothing of it was done.
func (d *desk) drain(ctx context.Context) {
	select {
	case <-d.gate.shut():
	case <-ctx.Done():
		return
	}
	d.mu.Lock()
	left := len(d.lines)
	for l := range d.lines {
		select {
		case l.out <- outgoing{frame: frame{code: goodbye}}:
		default: // it does not read: it will find out
		}
	}
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, goodbyeTime)
	defer cancel()
	for left > 0 && pause(ctx, retryPause/4) {
		d.mu.Lock()
		left = len(d.lines)
		d.mu.Unlock()
	}
}

func (l *line) end() {
	l.once.Do(func() {
		close(l.done)
		_ = l.s.Close() // the reader and the writer end
	})
}

// member reports whether the stream is of a member. For a call that does not
// need that, nobody is asked.
func (l *line) member(ctx context.Context, h handler, n int) bool {
	if !l.s.kin() {
		return false
	}
	s, _ := l.d.roster.known(l.s.from)
	if s != member && (n > strangerFrame || !h.strangers && !h.newcomers) {
		s = l.d.roster.of(ctx, l.s.from)
	}
	return s == member
}

// mayNot is why a call is not for whoever asks; nil if it is.
func (l *line) mayNot(h handler, trusted bool) error {
	switch {
	case trusted, h.strangers, h.newcomers && l.s.kin():
		return nil
	case l.s.kin(): // this node may lag behind
		return &elsewhereError{vfs.Unavailable.With("node " + l.s.from + " is not in the configuration of this node")}
	}
	return vfs.Permission.With("not a member of this cluster")
}

// read takes calls until the stream ends. Whoever is not a member has one at a
// time answered, and short ones only.
func (l *line) read(ctx context.Context) error {
	free := make(chan struct{}, maxCalls)
	r := bufio.NewReaderSize(l.s, frameBuf)
	for {
		f, n, err := readHead(l.s, r)
		if errors.Is(err, errFrame) {
			l.d.refused.add(becauseFrame, l.s.RemoteAddr(), l.s.from, err)
		}
		if err != nil {
			return err
		}
		trusted := l.member(ctx, l.d.handlers[f.code], n)
		if n > strangerFrame && !trusted {
			l.d.refused.add(becauseFrame, l.s.RemoteAddr(), l.s.from, errFrame)
			return errFrame
		}
		select {
		case free <- struct{}{}:
		case <-l.done:
			return net.ErrClosed
		}
		b, err := l.receive(ctx, r, n)
		if err != nil {
			return err
		}
		answer := func() {
			defer func() { <-free }()
			l.handle(ctx, f, b, n, trusted)
		}
		if trusted {
			l.wg.Go(answer)
		} else {
			answer()
		}
	}
}

func (l *line) receive(ctx context.Context, r io.Reader, n int) (*buffer, error) {
	wait, cancel := context.WithTimeout(ctx, callMemoryWait)
	defer cancel()
	if err := l.d.memory.take(wait, int64(n)); err != nil {
		return nil, err
	}
	b := l.d.buffers.get(n)
	b.held, b.size = l.d.memory, int64(n)
	if err := l.s.SetReadDeadline(time.Now().Add(frameTime)); err != nil {
		b.free()
		return nil, err
	}
	if _, err := io.ReadFull(r, b.b[:n]); err != nil {
		b.free()
		return nil, err
	}
	return b, nil
}

func (l *line) handle(ctx context.Context, f frame, b *buffer, n int, trusted bool) {
	defer l.d.catch()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(f.millis)*time.Millisecond)
	defer cancel()
	var (
		re reply
		in *gate
	)
	payload, bad := f.follow(b.b[:n])
	if f.request != "" {
		ctx = trace.With(ctx, trace.New(f.request))
	}
	h, ok := l.d.handlers[f.code]
	err := l.d.gate.enter()
	if err == nil {
		in = &l.d.gate
	}
	start := time.Now()
	switch {
	case err != nil:
		err = &elsewhereError{err}
	case bad != nil:
		err = vfs.Invalid.With(bad.Error())
	case !ok:
		err = vfs.Unsupported.Withf("call %d", f.code)
	case !h.early && !l.d.up.Load():
		err = &elsewhereError{vfs.Unavailable.With("this node is starting")}
	default:
		if err = l.mayNot(h, trusted); err != nil {
			l.d.refused.add(becauseMember, l.s.RemoteAddr(), l.s.from, err)
		} else {
			re, err = h.serve(ctx, l.s.from, payload)
		}
	}
	b.free()
	l.d.tell(ctx, f.code, l.s.from, time.Since(start), err)
	l.send(f.id, re, err, in)
}

func (l *line) send(id uint64, re reply, err error, in *gate) {
	o := outgoing{frame{id: id, payload: [][]byte{re.payload}}, re.held, in}
	if err != nil {
		o.frame.code, o.frame.payload = closing(err)
	}
	select {
	case l.out <- o:
	case <-l.done:
		o.free()
	}
}

// closing is the code and the payload of a call that failed.
func closing(err error) (byte, [][]byte) {
	code := failed
	var (
		el *elsewhereError
		un *vfs.Unknown
	)
	switch {
	case errors.As(err, &un):
		code = unknown
		if err = un.Cause; err == nil {
			err = vfs.Unavailable
		}
	case errors.As(err, &el):
		code, err = elsewhere, el.cause
	}
	return code, [][]byte{wire.AppendError(nil, err)}
}

func (o *outgoing) free() {
	if o.held != nil {
		o.held.free()
	}
	if o.gate != nil {
		o.gate.leave()
	}
}

func (l *line) write() {
	w := bufio.NewWriterSize(l.s, frameBuf)
	for {
		select {
		case o := <-l.out:
			err := writeFrame(l.s, w, &o.frame)
			if err == nil && len(l.out) == 0 {
				err = w.Flush()
			}
			o.free()
			if err != nil {
				l.d.log.Debug("stream ended", "from", l.s.from, "error", fmt.Errorf("send: %w", err))
				l.end()
				return
			}
		case <-l.done:
			return
		}
	}
}
