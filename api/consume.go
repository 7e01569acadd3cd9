package api

import (
	"bytes"
	"context"
	"io"

	"github.com/pfs-project/pfs/vfs"
)

// consume answers a read that takes something away. Nothing is taken for a
// client that asks for a part, only looks, or has left. rel is the file in its
// mount m.
func (c *call) consume(p vfs.Path, m vfs.Mounted, rel vfs.Path) error {
	if err := c.fromOurs(); err != nil {
		return named(err, "read", p)
	}
	_, o := c.query.get("offset")
	_, s := c.query.get("size")
	switch {
	case c.method() == "HEAD":
		c.fc.Response.Header.SetContentType("application/octet-stream")
		return nil
	case o || s || c.header("Range") != "":
		return named(vfs.Invalid.With("offset, size and Range do not apply to a file that is consumed"), "read", p)
	case c.gone():
		return named(vfs.Timeout.With("the client has left"), "read", p)
	}
	a, err := c.take(m, rel)
	if err != nil {
		return err
	}
	return c.give(m, a)
}

// give answers with what was taken from the mount m.
func (c *call) give(m vfs.Mounted, a change) error {
	c.changed(a)
	c.fc.Response.Header.Del("ETag") // it would be that of the file, not of what was taken
	c.fc.SetStatusCode(200)
	c.fc.Response.Header.SetContentType("application/octet-stream")
	return c.reply(m, a.result())
}

// gaveAway reports whether a file that is not there is one that gives something
// away while it is, and returns where it was.
func (c *call) gaveAway(ctx context.Context, f *fileBody) (m vfs.Mounted, rel vfs.Path, ok bool) {
	at, err := f.img.Table.Resolve(ctx, f.img.View, f.asked, true)
	if err != nil {
		return m, rel, false
	}
	m, rel, ok = f.img.Table.Route(at)
	return m, rel, ok && c.waitable(m, rel)
}

// absent answers a read of a file that is not there: what gives something away may
// be so new that this node does not have it yet, while a take is always up to date.
func (c *call) absent(p vfs.Path, m vfs.Mounted, rel vfs.Path, gives bool, refused error) error {
	switch {
	case !gives:
		return refused
	case !c.fresh:
		c.fresh = true
		return c.readFile()
	}
	return c.takenBefore(p, m, rel, refused)
}

// takenBefore answers a repeated read of a file that is gone: what the first one
// under its key has taken. Any other gets refused.
func (c *call) takenBefore(p vfs.Path, m vfs.Mounted, rel vfs.Path, refused error) error {
	key, err := c.key()
	switch {
	case err != nil:
		return err
	case key == "":
		return refused
	case m.Place != vfs.Replicated: // behind it the key is known, or not
		return c.consume(p, m, rel)
	}
	a, err := c.again(vfs.Op{Verb: vfs.Consume, Path: m.Path.Join(rel)})
	switch {
	case vfs.KindOf(err) == vfs.Empty:
		return refused
	case err != nil:
		return err
	}
	return c.give(m, a)
}

// take commits a Consume, with what the query asks for.
func (c *call) take(m vfs.Mounted, rel vfs.Path) (change, error) {
	wait, err := c.duration("wait", 0, maxWait)
	if err != nil {
		return change{}, err
	}
	o, err := c.askedOfTake(m, rel)
	if err != nil {
		return change{}, err
	}
	// By its own name: a link may be in a mount that knows no Consume.
	op := vfs.Op{Verb: vfs.Consume, Path: m.Path.Join(rel), Target: o.Encode()}
	if _, ok := m.FS.(vfs.Waiter); ok && wait > 0 {
		return c.await(m, rel, op, wait)
	}
	if wait > 0 && m.Place != vfs.Replicated && c.waitable(m, rel) {
		return c.linger(op, o, wait)
	}
	return c.commit(op, [32]byte{})
}

// reply answers what was taken, as the plugin renders it.
func (c *call) reply(m vfs.Mounted, r vfs.Result) error {
	render, ok := m.FS.(vfs.Replier)
	if !ok {
		c.fc.Response.SetBodyRaw(r.Data)
		return nil
	}
	if len(r.Refs) > 0 {
		c.fc.Response.SetBodyStream(&replyBody{c.life(), render, r}, -1)
		return nil
	}
	ctx := c.within()
	defer ctx.End()
	var b bytes.Buffer
	err := render.Reply(ctx, r, &b)
	c.fc.Response.SetBodyRaw(b.Bytes())
	return err
}

// replyBody renders long content while it is sent.
type replyBody struct {
	s      life
	render vfs.Replier
	r      vfs.Result
}

// Read is never used: the body is written.
func (b *replyBody) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// SupportsBodyWriteTo makes fasthttp use WriteTo.
func (b *replyBody) SupportsBodyWriteTo() bool { return true }

// WriteTo renders into w.
func (b *replyBody) WriteTo(w io.Writer) (sent int64, err error) {
	defer b.s.faults(&err)
	n := &counter{w: w}
	err = b.render.Reply(b.s.context(), b.r, n)
	return n.n, err
}

type counter struct {
	w io.Writer
	n int64
}

// Write counts what passes.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
