package client

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
)

const (
	// held is how many bytes a Writer holds before it begins to send: what is
	// not longer can be sent again.
	held = 256 << 10
	// piece is how many bytes ReadFrom moves at a time.
	piece = 64 << 10
)

var errAborted = errors.New("write was aborted")

// Writer writes a file that others see only once Close has returned nil: until
// then, and after Abort or the end of its context, they see what was there. It
// belongs to one goroutine, but for Abort, which any may call.
//
// What is not longer than 256 KiB is sent by Close, under an idempotency key and
// again where that helps. More is streamed as it comes, once: an error then loses
// it, and the file is as it was, but for [ErrUnknown].
type Writer struct {
	c    *Client
	ctx  context.Context // that of NewWriter: io.Writer has none
	stop context.CancelCauseFunc
	path string
	opts []Option

	mu     sync.Mutex // of what Abort looks at
	closed bool
	pipe   *io.PipeWriter // nil: nothing was sent yet

	buf     []byte
	done    chan struct{} // closed once the request is over
	written Written
	err     error // of the request
}

// NewWriter returns a Writer of a whole file, or of what the options say: with
// [Append] of a new end, with [At] of a part, with [IfMatch] only of that version.
func (c *Client) NewWriter(ctx context.Context, path string, opts ...Option) *Writer {
	w := &Writer{c: c, path: path, opts: opts, done: make(chan struct{})}
	w.ctx, w.stop = context.WithCancelCause(ctx)
	return w
}

// Write takes b. An error is the request's, which is over then.
func (w *Writer) Write(b []byte) (int, error) {
	pipe, err := w.sending(len(b))
	switch {
	case err != nil:
		return 0, err
	case pipe == nil:
		w.buf = append(w.buf, b...)
		return len(b), nil
	case len(w.buf) > 0:
		if _, err := pipe.Write(w.buf); err != nil {
			return 0, err
		}
		w.buf = nil
	}
	return pipe.Write(b)
}

// sending returns the body of the request, which begins once more is to be
// written than is held; nil before that.
func (w *Writer) sending(more int) (*io.PipeWriter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, &fs.PathError{Op: "write", Path: w.path, Err: fs.ErrClosed}
	}
	if w.pipe == nil && len(w.buf)+more > held {
		w.send()
	}
	return w.pipe, nil
}

// send begins the request.
func (w *Writer) send() {
	pr, pw := io.Pipe()
	w.pipe = pw
	go func() {
		defer close(w.done)
		w.written, w.err = w.c.Write(w.ctx, w.path, pr, -1, w.opts...)
		err := w.err
		if err == nil {
			err = io.ErrClosedPipe // a node that answers before the end of the body
		}
		_ = pr.CloseWithError(err) // never fails
	}()
}

// ReadFrom writes what r gives, up to its end.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, piece))
}

// Close writes the file. Closing again, or after Abort, is fs.ErrClosed.
func (w *Writer) Close() error {
	pipe, first := w.end()
	if !first {
		return &fs.PathError{Op: "close", Path: w.path, Err: fs.ErrClosed}
	}
	defer w.stop(nil)
	if pipe == nil {
		w.written, w.err = w.c.WriteFile(w.ctx, w.path, w.buf, w.opts...)
		w.buf = nil
		return w.err
	}
	// The end of the body is what commits it, so it is not sent too late.
	_ = pipe.CloseWithError(w.ctx.Err()) // never fails
	<-w.done
	return w.err
}

// end begins the end, if nobody has.
func (w *Writer) end() (pipe *io.PipeWriter, first bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first, w.closed = !w.closed, true
	return w.pipe, first
}

// Abort gives the write up; the file stays as it was. It ends a Write under way
// and returns once nothing is sent any more. It does nothing once Close has
// begun: that ends with the context.
func (w *Writer) Abort() {
	pipe, first := w.end()
	if !first {
		return
	}
	w.stop(errAborted)
	if pipe != nil {
		_ = pipe.CloseWithError(errAborted) // never fails
		<-w.done
	}
}

// Written returns what the node said of the write, once Close has returned nil.
func (w *Writer) Written() Written { return w.written }

// Appender adds to the end of a file or a stream: every Write is one append
// that is whole, durable once it has returned, and done once even where it had
// to be sent again. It is safe for concurrent use.
type Appender struct {
	c      *Client
	ctx    context.Context // that of NewAppender: io.Writer has none
	path   string
	opts   []Option
	closed atomic.Bool
}

// NewAppender returns an Appender; the file is made by its first Write if there
// is none.
func (c *Client) NewAppender(ctx context.Context, path string, opts ...Option) *Appender {
	return &Appender{c: c, ctx: ctx, path: path, opts: append([]Option{Append()}, opts...)}
}

// Write appends b; nothing of it if it returns an error, but for [ErrUnknown].
func (a *Appender) Write(b []byte) (int, error) {
	if a.closed.Load() {
		return 0, &fs.PathError{Op: "write", Path: a.path, Err: fs.ErrClosed}
	}
	if len(b) == 0 {
		return 0, nil
	}
	if _, err := a.c.WriteFile(a.ctx, a.path, b, a.opts...); err != nil {
		return 0, err
	}
	return len(b), nil
}

// ReadFrom appends what r gives, up to its end, in pieces of at most 64 KiB.
func (a *Appender) ReadFrom(r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{a}, struct{ io.Reader }{r}, make([]byte, piece))
}

// Close ends it; what was written is there already.
func (a *Appender) Close() error {
	if a.closed.Swap(true) {
		return &fs.PathError{Op: "close", Path: a.path, Err: fs.ErrClosed}
	}
	return nil
}

// Interface guards.
var (
	_ io.WriteCloser = (*Writer)(nil)
	_ io.ReaderFrom  = (*Writer)(nil)
	_ io.WriteCloser = (*Appender)(nil)
	_ io.ReaderFrom  = (*Appender)(nil)
)
