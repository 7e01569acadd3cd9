package api

import (
	"errors"
	"io"
	"strconv"
	"sync"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/lapse"
	"github.com/pfs-project/pfs/vfs"
)

// errOver says that a stream has come to its end: it is gone.
var errOver = errors.New("stream is over")

// errRemoved says that it is gone, and that the reader has not had all of it.
var errRemoved = errors.New("the stream was removed before all of it was read")

// errFrom says from where a stream can be read.
var errFrom = vfs.Invalid.With("from must be oldest, now, or an offset")

// follower is a reader of a stream, as the body of an answer. It holds neither
// an image nor a buffer while there is nothing to send, and nothing but a buffer
// while its client takes its time: it reads what is there when it comes to it,
// and is cut off if that is forgotten by then.
type follower struct {
	s     life
	conn  *conn
	mount uint64
	path  vfs.Path // in the mount, of a stream that is not there yet
	asked vfs.Path // as the client named it
	file  uint64   // 0: not there yet
	off   int64
	full  bool // the last look filled its buffer: more was there

	look    chan struct{} // the stream has changed, or its mount
	unhear  func()        // the stream
	unmount func()        // stops hearing of the mount
}

// readStream answers GET /files?stream=true: the bytes of a stream from an
// offset on, for as long as the client stays. The offset is what the query
// says, or from.
func (c *call) readStream(p vfs.Path, from string) error {
	img, err := c.image()
	if err != nil {
		return err
	}
	release := sync.OnceFunc(img.Release)
	defer release()
	ctx := c.within()
	defer ctx.End()
	_, at, err := img.Table.Lookup(ctx, img.View, "read", p)
	if vfs.KindOf(err) == vfs.NotFound {
		at = p
	} else if err != nil {
		return err
	}
	m, rel, _ := img.Table.Route(at)
	switch d := m.FS.(type) {
	case vfs.Follower:
	case vfs.Tuner:
		release() // not to be held while it waits
		return c.relayStream(d, rel, p, from)
	default:
		if err == nil {
			err = vfs.NotFound.Withf("filesystem does not support streaming: %s", p)
		}
		return err
	}
	f := &follower{s: c.life(), conn: c.conn, mount: m.ID, path: rel, asked: p, look: make(chan struct{}, 1)}
	live, err := f.find(img)
	switch k := vfs.KindOf(err); {
	case k == vfs.Unsupported:
		return vfs.NotFound.Withf("filesystem does not support streaming: %s", p)
	case err != nil && (k != vfs.NotFound || len(live.Row) == 0):
		return named(err, "read", p)
	}
	if err := c.from(f, live, from); err != nil {
		return err
	}
	return c.follow(f, fsm.MountRow(m.Path), live.Row)
}

// streams reports whether a file is a stream.
func streams(i vfs.Info) bool {
	return i.Meta.Type == "stream" || i.Meta.Type == "rotate-stream"
}

// handleStream follows a stream from the handle's position on, or from the
// oldest byte that is kept; other files are read.
func (c *call) handleStream(h *handle) error {
	p, i, err := c.lookHandle(h)
	switch {
	case err != nil:
		return err
	case !streams(i):
		return vfs.At(vfs.Unsupported.With("not a stream"), "stream", h.path)
	case h.access&readable == 0:
		return vfs.Permission.With("handle not opened for reading")
	}
	from := "oldest"
	if h.pos > 0 && !i.Endless() { // what has no end has no positions of a handle
		from = strconv.FormatInt(h.pos, 10)
	}
	return c.readStream(p, from)
}

// from reads where to begin.
func (c *call) from(f *follower, live vfs.Live, def string) error {
	f.off = live.Oldest
	v, ok := c.query.get("from")
	if !ok {
		v = def
	}
	switch v {
	case "oldest":
	case "now":
		f.off = live.End
	default:
		n, ok := digits([]byte(v))
		if !ok {
			return errFrom
		}
		if f.off = n; n < live.Oldest || n > live.End {
			c.oldest = &live.Oldest
			return named(vfs.Range.Withf("the stream has bytes %d to %d", live.Oldest, live.End), "read", f.asked)
		}
	}
	return nil
}

// follow answers with a stream; its head is sent at once.
func (c *call) follow(f *follower, mount, row []byte) error {
	c.streamHead()
	if c.method() == "HEAD" {
		c.set("X-Pfs-Offset", strconv.FormatInt(f.off, 10))
		return nil
	}
	if err := c.s.audience.enter(c.s.limits.Waits); err != nil {
		return err
	}
	c.set("X-Pfs-Offset", strconv.FormatInt(f.off, 10))
	if f.file != 0 {
		c.s.audience.listens(heard{f.mount, f.file})
	}
	f.unmount = c.s.cfg.Node.Watch(mount, f.nudge)
	f.listen(row)
	c.fc.Response.ImmediateHeaderFlush = true
	c.fc.Response.SetBodyStream(f, -1)
	return nil
}

func (c *call) streamHead() {
	c.fc.Response.Header.SetContentType("application/octet-stream")
	c.set("X-Content-Type-Options", "nosniff")
	c.fc.SetStatusCode(200)
}

// nudge has the follower look at the stream again; it does not wait.
func (f *follower) nudge() {
	select {
	case f.look <- struct{}{}:
	default:
	}
}

// Read is never used: the body is written.
func (f *follower) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// SupportsBodyWriteTo makes fasthttp use WriteTo.
func (f *follower) SupportsBodyWriteTo() bool { return true }

// WriteTo sends what there is, and what comes. It ends well when the stream is
// gone. An error, after which the client sees a body that was cut off, tells
// that there is more: the reader was too slow, or the node stops.
func (f *follower) WriteTo(w io.Writer) (sent int64, err error) {
	defer f.s.faults(&err)
	var left <-chan struct{}
	if f.conn != nil {
		var stop func()
		left, stop = f.conn.left()
		defer stop()
	}
	for {
		n, err := f.pass(w)
		sent += n
		switch {
		case err == errOver:
			return sent, nil
		case err != nil:
			f.s.log.Debug("reader of a stream is cut off", "request_id", f.s.trace.ID(), "path", string(f.asked), "error", err)
			return sent, err
		case n > 0:
			continue
		}
		select {
		case <-f.look:
		case <-left:
			return sent, io.ErrClosedPipe
		case <-f.s.waits.over:
			return sent, io.ErrUnexpectedEOF
		case <-f.s.base.Done():
			return sent, io.ErrUnexpectedEOF
		}
	}
}

// pass sends what there is now, at most a window of it.
func (f *follower) pass(w io.Writer) (int64, error) {
	buf := f.s.windows.get(0)
	defer f.s.windows.put(buf)
	n, err := f.next(buf)
	if n == 0 || err != nil {
		return 0, err
	}
	f.off += int64(n)
	k, err := w.Write(buf[:n])
	return int64(k), err
}

// next fills b with what comes next.
func (f *follower) next(b []byte) (int, error) {
	ctx := lapse.After(f.s.context(), f.s.limits.Op)
	defer ctx.End()
	img, err := f.s.cfg.Node.Image(ctx, vfs.Level{})
	if err != nil {
		return 0, err
	}
	defer img.Release()
	if f.file == 0 {
		live, err := f.find(img)
		if f.file != 0 {
			f.s.audience.listens(heard{f.mount, f.file})
			f.listen(live.Row)
		} else if vfs.KindOf(err) == vfs.NotFound {
			err = nil
		}
		return 0, err
	}
	fs, view, err := f.mounted(img)
	if err != nil {
		return 0, err
	}
	n, err := fs.ReadStream(ctx, view, f.file, b, f.off)
	switch {
	case vfs.KindOf(err) != vfs.NotFound:
		f.full = n == len(b)
	case f.full:
		err = errRemoved
	default:
		err = errOver
	}
	return n, err
}

// listen has the follower nudged when a row of the mount changes, and no longer
// when another does.
func (f *follower) listen(row []byte) {
	if f.unhear != nil {
		f.unhear()
	}
	f.unhear = f.s.cfg.Node.Watch(append(vfs.MountPrefix(f.mount), row...), f.nudge)
	f.nudge() // it may have changed before it was heard
}

// find looks for the stream by its name.
func (f *follower) find(img *fsm.Image) (vfs.Live, error) {
	fs, view, err := f.mounted(img)
	if err != nil {
		return vfs.Live{}, err
	}
	live, err := fs.Follow(view, f.path)
	if f.file == 0 && err == nil {
		f.file = live.File
	}
	return live, err
}

// mounted returns the filesystem of the stream and its part of the state.
func (f *follower) mounted(img *fsm.Image) (vfs.Follower, vfs.View, error) {
	m, ok := img.Table.Mount(f.mount)
	if !ok {
		return nil, nil, errOver
	}
	fs, ok := m.FS.(vfs.Follower)
	if !ok {
		return nil, nil, vfs.Unavailable.With("mount is not up")
	}
	return fs, vfs.Sub(img.View, vfs.MountPrefix(f.mount)), nil
}

// Close stops listening.
func (f *follower) Close() error {
	f.unhear()
	f.unmount()
	f.s.audience.leave(heard{f.mount, f.file})
	return nil
}
