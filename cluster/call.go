package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/trace"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// How a call ended.
const (
	ended     byte = iota // with an answer
	failed                // with an error that the node decided on
	elsewhere             // nothing was done here; another node may do it
	unknown               // it may have been done
	goodbye               // of the stream: what has no answer was not done
)

// elsewhereError says that a call did nothing and is worth another try.
type elsewhereError struct{ cause error }

func (e *elsewhereError) Error() string { return "not done: " + e.cause.Error() }
func (e *elsewhereError) Unwrap() error { return e.cause }

// callError is a call that brought no answer.
type callError struct {
	sent  bool // it may have reached the node
	cause error
}

func (e *callError) Error() string { return e.cause.Error() }
func (e *callError) Unwrap() error { return e.cause }

var errGoodbye = errors.New("the node is stopping")

// States of a request on its way to the wire.
const (
	waiting int32 = iota
	writing
	given // up, before it was written
)

// request is a call under way.
type request struct {
	frame   frame
	state   atomic.Int32
	written chan struct{} // closed once the payload is not referred to any more
	answer  chan answer   // holds one
}

type answer struct {
	code    byte
	payload []byte
}

// caller is the dialling side of a stream of calls. Safe for concurrent use.
type caller struct {
	c        net.Conn
	peer     welcome
	out      chan *request
	done     chan struct{}
	received atomic.Int64 // when the last frame came, Unix nanoseconds
	wg       sync.WaitGroup

	mu    sync.Mutex
	next  uint64
	open  map[uint64]*request
	cause error // why it ended
}

func newCaller(c net.Conn, peer welcome) *caller {
	l := &caller{c: c, peer: peer, out: make(chan *request, frameQueue), done: make(chan struct{}), open: map[uint64]*request{}}
	l.received.Store(time.Now().UnixNano())
	l.wg.Go(l.write)
	l.wg.Go(l.read)
	return l
}

// kill ends the stream: calls under way fail.
func (l *caller) kill(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == nil {
		l.cause = cause
		close(l.done)
		_ = l.c.Close() // the reader and the writer end
	}
}

func (l *caller) dead() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

func (l *caller) write() {
	w := bufio.NewWriterSize(l.c, frameBuf)
	for {
		var r *request
		select {
		case r = <-l.out:
		case <-l.done:
			return
		}
		if !r.state.CompareAndSwap(waiting, writing) {
			continue
		}
		err := writeFrame(l.c, w, &r.frame)
		if err == nil && len(l.out) == 0 {
			err = w.Flush()
		}
		close(r.written)
		if err != nil {
			l.kill(fmt.Errorf("send: %w", err))
			return
		}
	}
}

func (l *caller) read() {
	r := bufio.NewReaderSize(l.c, frameBuf)
	for {
		f, n, err := readHead(l.c, r)
		var payload []byte
		if err == nil {
			payload = make([]byte, n)
			_, err = io.ReadFull(r, payload)
		}
		if err != nil {
			l.kill(fmt.Errorf("receive: %w", err))
			return
		}
		l.received.Store(time.Now().UnixNano())
		if f.code == goodbye {
			l.kill(errGoodbye)
			return
		}
		l.mu.Lock()
		q := l.open[f.id]
		delete(l.open, f.id)
		l.mu.Unlock()
		if q != nil {
			q.answer <- answer{f.code, payload}
		}
	}
}

// call asks the node; it refers to the payload until it returns. An error is
// one that the node decided on, an *elsewhereError, a *vfs.Unknown or a
// *callError.
func (l *caller) call(ctx context.Context, method byte, payload ...[]byte) ([]byte, error) {
	r := &request{written: make(chan struct{}), answer: make(chan answer, 1)}
	r.frame = frame{code: method, payload: payload, millis: millisLeft(ctx), request: trace.From(ctx).ID()}
	if r.frame.size() > maxFrame {
		return nil, &callError{false, errFrame}
	}
	l.mu.Lock()
	l.next++
	r.frame.id = l.next
	l.open[r.frame.id] = r
	l.mu.Unlock()
	defer l.forget(r.frame.id)
	start := time.Now()
	select {
	case l.out <- r:
	case <-ctx.Done():
		return nil, &callError{false, ctx.Err()}
	case <-l.done:
		return nil, &callError{false, l.why()}
	}
	select {
	case a := <-r.answer:
		return a.open()
	case <-ctx.Done():
		return nil, l.abandon(r, start, ctx.Err())
	case <-l.done:
		select {
		case a := <-r.answer:
			return a.open()
		default:
			return nil, l.abandon(r, start, l.why())
		}
	}
}

func (l *caller) forget(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, id)
}

func (l *caller) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// abandon gives a call up. A stream on which nothing has come since it began
// is dead to all: the next call dials afresh.
func (l *caller) abandon(r *request, start time.Time, cause error) error {
	if r.state.CompareAndSwap(waiting, given) {
		return &callError{false, cause}
	}
	if time.Since(start) > time.Second && l.received.Load() < start.UnixNano() {
		l.kill(fmt.Errorf("silent: %w", cause))
	}
	select {
	case <-r.written:
	case <-time.After(time.Second):
		l.kill(fmt.Errorf("stuck: %w", cause))
		<-r.written
	}
	return &callError{!errors.Is(cause, errGoodbye), cause}
}

func (a answer) open() ([]byte, error) {
	if a.code == ended {
		return a.payload, nil
	}
	cause, err := wire.Error(a.payload)
	if err != nil || cause == nil {
		return nil, &callError{true, errors.Join(errors.New("answer cannot be read"), err)}
	}
	switch a.code {
	case elsewhere:
		return nil, &elsewhereError{cause}
	case unknown:
		return nil, &vfs.Unknown{Cause: cause}
	}
	return nil, cause
}

// maxCall bounds a call whose caller says how long it waits.
const maxCall = 10 * time.Minute

// millisLeft is how long the caller waits; proposeTime if it does not say.
func millisLeft(ctx context.Context) uint32 {
	left := proposeTime
	if d, ok := ctx.Deadline(); ok {
		left = min(maxCall, time.Until(d))
	}
	return uint32(max(left, 0) / time.Millisecond)
}
