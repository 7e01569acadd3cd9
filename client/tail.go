package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// silence is how long a Tail hears nothing before it asks another node for the
// same: a connection that is dead looks like a stream that rests.
const silence = time.Minute

var errSilent = errors.New("nothing was heard")

// Gap is a part of a stream that a [Tail] has missed: it is not kept any more, or
// the stream was removed and made again and is shorter. One that is longer again
// when the Tail connects cannot be told from the old one: there is no Gap, and
// its bytes go on from the offset. errors.Is holds for [ErrCompacted].
type Gap struct {
	From   int64 // the offset that was to come next
	Oldest int64 // the first one that is kept, with which the next Read goes on

	said error // the node's words
}

// Error tells what is missing.
func (g *Gap) Error() string {
	if g.From < g.Oldest {
		return fmt.Sprintf("bytes %d to %d of the stream are not kept any more", g.From, g.Oldest)
	}
	return fmt.Sprintf("the stream does not reach offset %d: it is another one than before", g.From)
}

// Unwrap returns vfs.Range and what the node said.
func (g *Gap) Unwrap() []error { return []error{vfs.Range, g.said} }

// Tail reads a stream on over the loss of connections and of nodes: each byte
// once, in order, from its offset on, as long as no other stream takes the name
// (see [Gap]). It belongs to one goroutine.
type Tail struct {
	c      *Client
	ctx    context.Context // that of Client.Tail: io.Reader has none
	path   string
	off    int64 // of the next byte; -1: the server does not say
	body   io.ReadCloser
	quiet  *time.Timer // ends the connection
	cancel context.CancelFunc
	broken error // of the connection, when it came with bytes
	lost   func(error)
	told   bool // to lost, and nothing has come since
	closed bool
}

// Tail follows a stream from a place on: [Oldest], [Now], or an offset. An error
// means that it could not be done at all; from then on it goes on for as long as
// ctx lasts, whatever happens to connections. The end of the stream, when it is
// removed, is io.EOF.
func (c *Client) Tail(ctx context.Context, path, from string) (*Tail, error) {
	t := &Tail{c: c, ctx: ctx, path: path, off: -1}
	if n, err := strconv.ParseInt(from, 10, 64); err == nil {
		t.off = n
	}
	for {
		err := t.connect(from)
		if err == nil {
			return t, nil
		}
		if !errors.Is(err, errSilent) || ctx.Err() != nil {
			return nil, err
		}
	}
}

// OnLoss has f called when a connection is lost or refused, with the reason, once
// until something comes again. One that was only silent is not told.
func (t *Tail) OnLoss(f func(error)) { t.lost = f }

// Offset returns that of the next byte, -1 if the server does not say: what to
// keep, to go on there another time.
func (t *Tail) Offset() int64 { return t.off }

// connect asks for the stream. A node that is behind may not have the offset yet,
// so that only an answer that is up to date counts as a Gap.
func (t *Tail) connect(from string) error {
	err := t.follow(t.ctx, from)
	if errors.Is(err, vfs.Range) {
		err = t.follow(WithFresh(t.ctx), from)
	}
	var e *Error
	if errors.Is(err, vfs.Range) && errors.As(err, &e) && e.Oldest != nil {
		g := &Gap{t.off, *e.Oldest, e}
		t.off = g.Oldest
		return &fs.PathError{Op: "read", Path: t.path, Err: g}
	}
	return err
}

func (t *Tail) follow(ctx context.Context, from string) error {
	ctx, cancel := context.WithCancel(ctx)
	node := t.c.current.Load()
	quiet := time.AfterFunc(silence, cancel)
	body, off, err := t.c.Follow(ctx, t.path, from)
	if err != nil {
		if !quiet.Stop() {
			t.c.turn(node)
			err = fmt.Errorf("%w: %w", errSilent, err)
		}
		cancel()
		return err
	}
	t.body, t.off, t.quiet, t.cancel = body, off, quiet, cancel
	return nil
}

// drop ends the connection, and reports whether it was silent.
func (t *Tail) drop() (silent bool) {
	if t.body == nil {
		return false
	}
	if silent = !t.quiet.Stop(); silent { // another node may know more
		t.c.turn(t.c.current.Load())
	}
	t.cancel()
	_ = t.body.Close() // of a transfer that is over
	t.body, t.broken = nil, nil
	return silent
}

// Read reads what comes next, and waits for it. After a [*Gap] the next Read
// goes on behind it.
func (t *Tail) Read(b []byte) (int, error) {
	if len(b) == 0 && !t.closed {
		return 0, nil
	}
	for pause := t.c.backoff; ; pause = min(2*pause, 2*time.Second) {
		if t.closed {
			return 0, &fs.PathError{Op: "read", Path: t.path, Err: fs.ErrClosed}
		}
		n, err := t.read(b)
		if n > 0 || err == io.EOF {
			return n, err
		}
		if cerr := t.ctx.Err(); cerr != nil {
			return 0, &fs.PathError{Op: "read", Path: t.path, Err: cerr}
		}
		if !t.passes(err) {
			return 0, err
		}
		t.tell(err)
		if serr := sleep(t.ctx, pause); serr != nil {
			return 0, &fs.PathError{Op: "read", Path: t.path, Err: &timeUp{serr, err}}
		}
	}
}

// tell says why nothing comes.
func (t *Tail) tell(err error) {
	if t.lost != nil && !t.told && !errors.Is(err, errSilent) {
		t.told = true
		t.lost(err)
	}
}

// passes reports whether to ask again after err.
func (t *Tail) passes(err error) bool {
	var e *Error
	var g *Gap
	switch {
	case t.off < 0, errors.As(err, &g):
		return false
	case errors.As(err, &e):
		return temporary(err)
	}
	return true // the connection
}

// read reads once.
func (t *Tail) read(b []byte) (int, error) {
	if t.body == nil {
		if err := t.connect(strconv.FormatInt(t.off, 10)); err != nil {
			return 0, err
		}
	}
	err := t.broken
	if err == nil {
		t.quiet.Reset(silence)
		var n int
		n, err = t.body.Read(b)
		if t.off >= 0 {
			t.off += int64(n)
		}
		if n > 0 {
			t.broken, t.told = err, false
			return n, nil
		}
	}
	if err == nil || err == io.EOF {
		return 0, err
	}
	if t.drop() {
		err = fmt.Errorf("%w: %w", errSilent, err)
	}
	return 0, err
}

// Close ends it.
func (t *Tail) Close() error {
	if t.closed {
		return &fs.PathError{Op: "close", Path: t.path, Err: fs.ErrClosed}
	}
	t.closed = true
	t.drop()
	return nil
}
