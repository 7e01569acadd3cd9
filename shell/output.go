package shell

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"mvdan.cc/sh/v3/interp"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

const (
	held  = 32 << 10               // of a file's content, until a stream of it is begun; can be sent again
	piece = 64 << 10               // that is appended at once
	pause = 100 * time.Millisecond // until a smaller piece is
)

// output is a file of the server that is written. Its content is sent whole when it
// is closed, in a stream if it is long; or in pieces as it comes, each behind the
// last one.
type output struct {
	s      *Shell
	ctx    context.Context
	hc     interp.HandlerContext // of who opened it
	c      *client.Client
	path   string
	pieces bool
	chomp  bool // one newline at the end is left out
	heeded bool // who closes it looks at the error

	mu     sync.Mutex
	buf    []byte // not sent yet
	kept   bool   // a newline, until something follows it
	stream *io.PipeWriter
	done   chan error  // of the stream
	timer  *time.Timer // until buf is sent as a piece
	err    error       // sticky
	closed bool
}

// create opens a file of the server to be written.
func (s *Shell) create(ctx context.Context, c *client.Client, p string, appendTo bool) (*output, error) {
	o := &output{s: s, ctx: ctx, hc: interp.HandlerCtx(ctx), c: c, path: p, pieces: appendTo, chomp: path.Base(p) == "enqueue"}
	info, err := s.target(ctx, c, p)
	if err != nil {
		return nil, refused("write", p, err)
	}
	switch {
	case o.chomp:
		o.pieces = false // a message is one
	case info.Endless():
		o.pieces = true
	}
	s.mu.Lock()
	s.open[o] = true
	s.mu.Unlock()
	return o, nil
}

// target describes a file that is to be written, if it is there. It refuses what a
// write would only refuse when the command has run.
func (s *Shell) target(ctx context.Context, c *client.Client, p string) (client.Info, error) {
	tree, name, err := s.tree(ctx, p)
	if err != nil {
		return client.Info{}, err
	}
	i, err := fs.Stat(tree, name)
	if vfs.KindOf(err) == vfs.NotFound && path.Base(p) != "enqueue" {
		_, dir, _ := s.tree(ctx, path.Dir(p)) // it was told above
		if i, err = fs.Stat(tree, dir); err == nil && !i.IsDir() {
			return client.Info{}, vfs.NotDirectory
		}
		return client.Info{}, rooted(err)
	}
	if vfs.KindOf(err) == vfs.NotFound {
		return client.Info{}, nil
	}
	if err != nil {
		return client.Info{}, rooted(err)
	}
	if i.IsDir() {
		return client.Info{}, vfs.IsDirectory
	}
	info, _ := i.Sys().(client.Info)
	return info, nil
}

// Read is not for such a file.
func (o *output) Read([]byte) (int, error) { return 0, errors.New("opened for writing only") }

// Write takes a part of the content.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, os.ErrClosed
	}
	n := len(b)
	if o.chomp && n > 0 {
		b = o.withoutLast(b)
	}
	switch {
	case o.err != nil:
	case o.pieces:
		o.add(b)
	default:
		o.err = o.send(b)
	}
	if o.err != nil {
		return 0, o.err
	}
	return n, nil
}

// withoutLast keeps a newline at the end of b back, and brings one that was.
func (o *output) withoutLast(b []byte) []byte {
	var out []byte
	if o.kept {
		out = append(out, '\n')
	}
	o.kept = b[len(b)-1] == '\n'
	if o.kept {
		b = b[:len(b)-1]
	}
	return append(out, b...)
}

// send adds to a content that is sent whole.
func (o *output) send(b []byte) error {
	if o.stream == nil {
		if len(o.buf)+len(b) <= held {
			o.buf = append(o.buf, b...)
			return nil
		}
		o.begin()
	}
	_, err := o.stream.Write(b)
	return err
}

// begin begins a stream with what is held.
func (o *output) begin() {
	r, w := io.Pipe()
	o.stream, o.done = w, make(chan error, 1)
	head := bytes.NewReader(slices.Clone(o.buf))
	go func() {
		_, err := o.c.Write(o.ctx, o.path, struct{ io.Reader }{io.MultiReader(head, r)}, -1)
		_ = r.CloseWithError(err) // never fails
		o.done <- err
	}()
}

// add adds to a content that is sent in pieces.
func (o *output) add(b []byte) {
	o.buf = append(o.buf, b...)
	if len(o.buf) >= piece {
		o.flush()
	} else if o.timer == nil && len(o.buf) > 0 {
		o.timer = time.AfterFunc(pause, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.flush()
		})
	}
}

// flush sends a piece.
func (o *output) flush() {
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
	if len(o.buf) == 0 || o.err != nil {
		return
	}
	_, o.err = o.c.WriteFile(o.ctx, o.path, o.buf, client.Append())
	o.buf = o.buf[:0]
}

// Close lets the content be there. The interpreter does not look at the error, so
// it is told and kept as a fault.
func (o *output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil
	}
	o.closed = true
	o.s.mu.Lock()
	delete(o.s.open, o)
	o.s.mu.Unlock()
	err := o.finish()
	if err != nil && !o.heeded {
		o.s.fault(o.ctx, o.hc, err)
	}
	return err
}

// finish sends the rest. What was interrupted is not written.
func (o *output) finish() error {
	stopped := o.ctx.Err()
	switch {
	case o.stream != nil && stopped != nil:
		_ = o.stream.CloseWithError(stopped) // never fails
		<-o.done
		return stopped
	case o.stream != nil:
		_ = o.stream.Close() // never fails
		return <-o.done
	case stopped != nil:
		return stopped
	case o.pieces:
		if o.err == nil && len(o.buf) == 0 {
			return o.touch()
		}
		o.flush()
		return o.err
	}
	_, err := o.c.WriteFile(o.ctx, o.path, o.buf)
	return err
}

// touch makes the file that an append of nothing makes.
func (o *output) touch() error {
	_, err := o.c.Stat(o.ctx, o.path)
	if vfs.KindOf(err) == vfs.NotFound {
		_, err = o.c.WriteFile(o.ctx, o.path, nil, client.Append())
	}
	return err
}
