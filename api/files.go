package api

import (
	"context"
	"io"
	"runtime/debug"
	"slices"
	"strconv"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/lapse"
	"github.com/pfs-project/pfs/vfs"
)

// small is how long an answer from memory may be in bytes; a longer one is
// streamed through a window.
const small = 32 << 10

// readFile answers GET and HEAD /files.
func (c *call) readFile() error {
	p, err := c.path()
	if err != nil {
		return err
	}
	if c.is("stream") {
		return c.readStream(p, "oldest")
	}
	off, err := c.integer("offset", 0, "invalid offset parameter")
	if err != nil {
		return err
	}
	size, err := c.integer("size", -1, "invalid size parameter")
	if err != nil {
		return err
	}
	if held, err := c.awaitChange("read", true); held || err != nil {
		return err
	}
	img, ctx, err := c.imageStep()
	if err != nil {
		return err
	}
	defer ctx.End()
	defer func() {
		if img != nil {
			img.Release()
		}
	}()
	f := &fileBody{s: c.life(), img: img, asked: p}
	_, o := c.query.get("offset")
	_, s := c.query.get("size")
	for try := 1; ; try++ {
		i, err := f.look(ctx)
		switch {
		case vfs.KindOf(err) == vfs.NotFound && c.method() == "GET":
			m, rel, ok := c.gaveAway(ctx, f)
			img.Release() // not to be held while it waits
			img = nil
			return c.absent(p, m, rel, ok, err)
		case err != nil:
			return err
		case i.Consumes():
			m, rel, _ := f.file.Mount()
			img.Release() // not to be held while it waits
			img = nil
			return c.consume(p, m, rel)
		case streams(i) && c.method() != "HEAD":
			return named(vfs.Invalid.With("use stream mode for reading stream files: stream=true"), "read", p)
		}
		c.validators(i)
		c.whose(img, f.file.Path, i)
		c.head("Accept-Ranges", []byte("bytes"))
		part := span{max(off, 0), size, false}
		if done, err := c.conditions(i, &part, !o && !s && !i.Endless()); done || err != nil {
			return err
		}
		f.off = part.off
		if c.method() != "HEAD" {
			again, err := f.open(i.Version, try)
			if err != nil {
				return err
			}
			if again {
				continue
			}
		}
		if img, err = c.content(ctx, f, i, part); img != nil {
			f.close()
		}
		return err
	}
}

// content answers a part of the file f. It takes over the image and returns
// what of it the caller must still release.
func (c *call) content(ctx context.Context, f *fileBody, i vfs.Info, part span) (*fsm.Image, error) {
	n := part.of(i)
	if i.Endless() && part.size < 0 && c.method() != "HEAD" {
		return f.img, named(errEndless, "read", f.asked)
	}
	m, _, _ := f.file.Mount()
	live := m.Place > vfs.Replicated // its size may not be known
	c.fc.Response.Header.SetContentType("application/octet-stream")
	c.head("X-Content-Type-Options", []byte("nosniff"))
	status := 200
	if part.ranged {
		status = 206
		c.set("Content-Range", "bytes "+strconv.FormatInt(part.off, 10)+"-"+
			strconv.FormatInt(part.off+n-1, 10)+"/"+strconv.FormatInt(i.Size, 10))
	}
	c.fc.SetStatusCode(status)
	f.off, f.left = part.off, n
	switch {
	case c.method() == "HEAD":
		c.fc.Response.Header.SetContentLength(int(n))
		return f.img, nil
	case live && i.Size == 0 && !i.Endless():
		return f.img, c.unsized(f, part)
	case n <= small && live: // a Device that was given up may still write into what it was given
		b, err := f.bytesNow(make([]byte, max(n, 1)), n)
		c.fc.Response.SetBodyRaw(b)
		return f.img, err
	case n <= small:
		b, err := f.bytes(ctx, c.room(int(max(n, 1))), n)
		c.fc.Response.SwapBody(b)
		return f.img, err
	}
	c.fc.Response.SetBodyStream(f, int(n))
	return nil, nil
}

// room returns n bytes to be filled and given back as the body by SwapBody. They
// are fasthttp's, which takes them from the answer once it is sent: nobody else
// may have them after.
func (c *call) room(n int) []byte {
	return slices.Grow(c.fc.Response.SwapBody(nil)[:0], n)[:n]
}

// unsized answers a live file that does not know its length, as far as a
// window reaches.
func (c *call) unsized(f *fileBody, part span) error {
	n := int64(window)
	if part.size >= 0 {
		n = min(n, part.size)
	}
	f.left = n
	b, err := f.bytesNow(make([]byte, max(n, 1)), n)
	c.fc.Response.SetBodyRaw(b)
	return err
}

// fileBody is the content of a file as the body of an answer. It holds its
// image until the body has been sent.
type fileBody struct {
	s         life
	img       *fsm.Image
	file      vfs.File
	asked     vfs.Path      // as the client named it
	off, left int64         // bytes
	from      io.ReadCloser // where a Device has opened it; nil: ReadAt
}

// look describes the file, and finds out where links to it lead.
func (f *fileBody) look(ctx context.Context) (i vfs.Info, err error) {
	i, f.file, err = f.img.Table.Open(ctx, f.img.View, "read", f.asked)
	if err == nil && i.IsDir() {
		err = named(vfs.IsDirectory, "read", f.asked)
	}
	return i, err
}

// readAt fills b from the file; fewer bytes come with io.EOF.
func (f *fileBody) readAt(ctx context.Context, b []byte) (n int, err error) {
	n, err = f.file.ReadAt(ctx, b, f.off)
	f.off += int64(n)
	f.left -= int64(n)
	if err != nil && err != io.EOF {
		err = named(err, "read", f.asked)
	}
	return n, err
}

// bytesNow is bytes with the time of a step of its own.
func (f *fileBody) bytesNow(b []byte, n int64) ([]byte, error) {
	ctx := lapse.After(f.s.context(), f.s.limits.Op)
	defer ctx.End()
	return f.bytes(ctx, b, n)
}

// bytes reads up to n bytes into b, which has room for one at least: the file is
// asked even for none of them, as it may be one that nobody reads.
func (f *fileBody) bytes(ctx context.Context, b []byte, n int64) ([]byte, error) {
	var k int
	var err error
	if f.from != nil {
		k, err = f.whole(b)
	} else {
		k, err = f.readAt(ctx, b)
	}
	if err == io.EOF {
		err = nil
	}
	return b[:min(int64(k), n)], err
}

// Read reads on; only used where WriteTo is not.
func (f *fileBody) Read(p []byte) (int, error) {
	if f.left <= 0 {
		return 0, io.EOF
	}
	return f.readAt(f.s.context(), p[:min(int64(len(p)), f.left)])
}

// SupportsBodyWriteTo says that WriteTo gives what Read gives.
func (f *fileBody) SupportsBodyWriteTo() bool { return true }

// window is what the content goes through.
func (f *fileBody) window() []byte {
	if m, _, _ := f.file.Mount(); m.Place != vfs.Replicated {
		return f.s.windows.get(0) // a Device is not asked for more at once
	}
	return f.s.windows.get(f.left)
}

// WriteTo sends the content through a window of fixed size. A file that cannot
// be read to its end aborts the body, which the client sees.
func (f *fileBody) WriteTo(w io.Writer) (sent int64, err error) {
	defer f.s.faults(&err)
	buf := f.window()
	defer f.s.windows.put(buf)
	if f.from != nil {
		return f.pass(w, buf)
	}
	for f.left > 0 {
		n, err := f.readAt(f.s.context(), buf[:min(int64(len(buf)), f.left)])
		if err != nil && err != io.EOF {
			f.s.log.Error("read failed within a body", "request_id", f.s.trace.ID(), "path", string(f.file.Path), "error", err)
			return sent, err
		}
		k, werr := w.Write(buf[:n])
		sent += int64(k)
		switch {
		case werr != nil:
			return sent, werr
		case err == io.EOF && f.left > 0:
			return sent, io.ErrUnexpectedEOF
		}
	}
	return sent, nil
}

// Close gives the image back, and what was opened.
func (f *fileBody) Close() error {
	f.close()
	if f.img != nil {
		f.img.Release()
		f.img = nil
	}
	return nil
}

// faults turns a panic under a body into its error, so that the body ends and
// gives back what it holds. A fault of the store ends the node.
func (l life) faults(err *error) {
	p := recover()
	if p == nil {
		return
	}
	if f, ok := p.(vfs.StoreFault); ok {
		l.fault(f)
	}
	l.log.Error("body panicked", "request_id", l.trace.ID(), "panic", p, "stack", string(debug.Stack()))
	*err = vfs.Internal
}
