package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// device runs an Op outside the log; op has the paths as the client gave them.
func (c *call) device(ctx context.Context, m vfs.Mounted, op, rel vfs.Op) (change, error) {
	ctx, err := c.keyed(ctx, m, op, "")
	if err != nil {
		return change{}, err
	}
	r, err := c.s.cfg.Node.Do(ctx, m, rel)
	return c.outside(m, op, rel, r, err)
}

// keyed returns ctx with the idempotency key for a change of a Device, if it has
// one and the Device is one behind which keys are kept. suffix tells the parts
// of one request from each other.
func (c *call) keyed(ctx context.Context, m vfs.Mounted, op vfs.Op, suffix string) (context.Context, error) {
	key, err := c.key()
	if err != nil || key == "" {
		return ctx, err
	}
	if !keepsKeys(m) || len(key)+len(suffix) > 128 {
		if c.own != "" {
			return ctx, nil // the client has asked for no key
		}
		return ctx, vfs.Unsupported.Withf("%s: %s: idempotency keys are not kept outside the log", op.Verb, op.Path)
	}
	return vfs.WithKey(ctx, key+suffix), nil
}

// keepsKeys reports whether idempotency keys are kept behind a Device.
func keepsKeys(m vfs.Mounted) bool {
	d, ok := m.FS.(vfs.Keyer)
	return ok && d.KeepsKeys()
}

// outside is what comes after a change of a Device.
func (c *call) outside(m vfs.Mounted, op, rel vfs.Op, r vfs.Result, err error) (change, error) {
	ctx := c.within()
	defer ctx.End()
	img, ierr := c.s.cfg.Node.Image(ctx, vfs.Level{})
	if ierr != nil {
		return change{}, unseen(op, err, ierr)
	}
	defer img.Release()
	if err = img.Table.Explain(img.View, op, err); err != nil {
		return change{}, err
	}
	if img.Table.Carries(img.View, rel) {
		out, err := c.s.cfg.Node.Propose(ctx, vfs.Request{Ops: []vfs.Op{m.Global(rel)}})
		if err != nil {
			return change{}, err
		}
		if out.Err != nil && vfs.KindOf(out.Err) != vfs.Moved {
			return change{}, out.Err
		}
	}
	return change{out: vfs.Outcome{Results: []vfs.Result{r}}, external: true}, nil
}

// unseen is the error of a change of a Device behind which the state could not be seen,
// for why. One that was done may lack what belongs to it.
func unseen(op vfs.Op, err, why error) error {
	var unknown *vfs.Unknown
	switch {
	case err == nil:
		return &vfs.Unknown{Cause: vfs.At(why, op.Verb.String(), op.Path)}
	case errors.As(err, &unknown):
		return err
	}
	return vfs.At(err, op.Verb.String(), op.Path)
}

// putOutside writes the body to a Device, with what the request asks for.
func (c *call) putOutside(m vfs.Mounted, op, rel vfs.Op, in *body) (change, int64, error) {
	o, err := c.askedOfWrite(m, rel.Path)
	if err != nil {
		return change{}, 0, err
	}
	if o["batch"] == "" {
		rel.Target = o.Encode()
		return c.pour(m, op, rel, in)
	}
	text, _, err := c.readBatch(op, vfs.Options{}, in)
	if err != nil {
		return change{}, 0, err
	}
	rel.Target, rel.Data = o.Encode(), text
	ctx := c.within()
	defer ctx.End()
	a, err := c.device(ctx, m, op, rel)
	return a, int64(len(text)), err
}

// linger answers a Consume of a Device that waits itself until it has something
// to give, or the client has left.
func (c *call) linger(op vfs.Op, o vfs.Options, wait time.Duration) (change, error) {
	leave, err := c.s.waits.enter()
	if err != nil {
		return change{}, named(err, "read", op.Path)
	}
	defer leave()
	all := vfs.Options{"wait": wait.String()}
	maps.Copy(all, o)
	op.Target = all.Encode()
	ctx, cancel := context.WithTimeout(c.context(), wait+c.s.limits.Op)
	defer cancel()
	left, stop := c.left()
	defer stop()
	go func() { // until the Device has answered
		select {
		case <-left:
		case <-c.s.waits.over:
		case <-ctx.Done():
		}
		cancel()
	}()
	since := time.Now()
	a, err := c.commitIn(ctx, op, [32]byte{})
	c.waited += time.Since(since)
	return a, err
}

// pour writes the body to a Device: as a stream where it takes one, in pieces
// otherwise.
func (c *call) pour(m vfs.Mounted, op, rel vfs.Op, in *body) (change, int64, error) {
	if d, ok := m.FS.(vfs.Appender); ok && d.Appends(rel.Path) {
		return c.appendWhole(m, op, rel, in)
	}
	if key, err := c.key(); err == nil && key == "" && rel.Off == vfs.AtEnd {
		return c.appendOutside(m, op, rel, in)
	}
	if op.Flag&^(vfs.FlagSync|vfs.FlagExclusive) != vfs.FlagCreate|vfs.FlagTruncate || op.Off != 0 {
		return c.feed(m, op, rel, in)
	}
	return c.putWhole(m, op, rel, in)
}

// putWhole writes the body to a Device as a stream; in pieces if it takes none.
func (c *call) putWhole(m vfs.Mounted, op, rel vfs.Op, in *body) (change, int64, error) {
	ctx, cancel := context.WithCancel(c.context())
	defer cancel()
	ctx, err := c.keyed(ctx, m, op, "")
	if err != nil {
		return change{}, 0, err
	}
	seen := &seen{r: in}
	r, err := c.s.cfg.Node.Put(ctx, m, rel, seen)
	switch {
	case in.err != nil:
		return change{}, 0, in.err // what the client did wrong, before what followed from it
	case vfs.KindOf(err) == vfs.Unsupported && !seen.any:
		return c.feed(m, op, rel, in)
	}
	a, err := c.outside(m, op, rel, r, err)
	return a, r.N, err
}

// seen knows whether anything of a body was asked for.
type seen struct {
	r   io.Reader
	any bool
}

// Read reads on.
func (s *seen) Read(b []byte) (int, error) {
	s.any = true
	return s.r.Read(b)
}

// feed writes the body to a Device, piece by piece as it arrives.
func (c *call) feed(m vfs.Mounted, op, rel vfs.Op, in *body) (a change, n int64, err error) {
	buf := make([]byte, vfs.MaxInline)
	for first := true; ; first = false {
		k, rerr := io.ReadFull(in, buf)
		if rerr != nil && rerr != io.EOF && !errors.Is(rerr, io.ErrUnexpectedEOF) {
			return a, n, rerr
		}
		if k > 0 || first {
			rel.Data = bytes.Clone(buf[:k])
			if a, err = c.feedPiece(m, op, rel, n); err != nil {
				return a, n, err
			}
			n += int64(k)
			rel.Flag &^= vfs.FlagTruncate | vfs.FlagExclusive
			rel.If = vfs.Cond{}
			if rel.Off != vfs.AtEnd {
				rel.Off += int64(k)
			}
		}
		if rerr != nil {
			return a, n, nil
		}
	}
}

// feedPiece writes one piece, the one that begins n bytes into the body.
func (c *call) feedPiece(m vfs.Mounted, op, rel vfs.Op, n int64) (change, error) {
	ctx, cancel := context.WithTimeout(c.context(), c.s.limits.Op)
	defer cancel()
	suffix := ""
	if n > 0 {
		suffix = fmt.Sprint(".", n)
	}
	ctx, err := c.keyed(ctx, m, op, suffix)
	if err != nil {
		return change{}, err
	}
	r, err := c.s.cfg.Node.Do(ctx, m, rel)
	return c.outside(m, op, rel, r, err)
}

// openTries is how often a file that changes is looked at and opened until any
// content will do.
const openTries = 4

// open opens the file on a Device that reads all of it from one content: that
// with a version. again says that it has changed since it was looked at.
func (f *fileBody) open(version uint64, try int) (again bool, err error) {
	m, rel, _ := f.file.Mount()
	d, ok := m.FS.(vfs.Streamer)
	if !ok {
		return false, nil
	}
	if try == openTries {
		version = 0
	}
	f.from, err = d.Stream(f.s.context(), rel, version, f.off)
	switch vfs.KindOf(err) {
	case vfs.Unsupported:
		return false, nil
	case vfs.Stale:
		return version != 0, nil
	}
	return false, named(err, "read", f.asked)
}

// whole fills b from what was opened; fewer bytes come with io.EOF.
func (f *fileBody) whole(b []byte) (int, error) {
	n, err := io.ReadFull(f.from, b)
	if err == io.ErrUnexpectedEOF { // one that was cut off has a wrapping
		err = io.EOF
	}
	if err != nil && err != io.EOF {
		err = named(err, "read", f.asked)
	}
	return n, err
}

// pass sends what was opened.
func (f *fileBody) pass(w io.Writer, buf []byte) (sent int64, err error) {
	// The bare Reader has no way around the window.
	sent, err = io.CopyBuffer(w, struct{ io.Reader }{io.LimitReader(f.from, f.left)}, buf)
	if f.left -= sent; err == nil && f.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return sent, err
}

// close gives back what was opened.
func (f *fileBody) close() {
	if f.from != nil {
		_ = f.from.Close() // all that was wanted of it is here
		f.from = nil
	}
}
