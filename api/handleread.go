package api

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strconv"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// maxTaken bounds a read through a handle that names no size, in bytes.
const maxTaken = 1 << 20

// handleRead answers bytes from the position, or from an offset.
func (c *call) handleRead(h *handle) error {
	if h.access&readable == 0 {
		return vfs.Permission.With("handle not opened for reading")
	}
	size, err := c.integer("size", 4096, "invalid size parameter")
	if err != nil {
		return err
	}
	off, moves, err := c.place(h)
	if err != nil {
		return err
	}
	if size < 0 {
		size = maxTaken
	}
	img, err := c.image()
	if err != nil {
		return err
	}
	defer func() {
		if img != nil {
			img.Release()
		}
	}()
	p, i, err := c.inImage(h, img)
	switch {
	case err != nil:
		return err
	case i.Consumes():
		return c.handleTake(h, p, img, off, size, moves)
	}
	part := span{off, size, false}
	n := part.of(i)
	c.set("X-Bytes-Read", strconv.FormatInt(n, 10))
	ctx := c.within()
	defer ctx.End()
	left, err := c.content(ctx, &fileBody{s: c.life(), img: img, file: img.Table.File(img.View, p), asked: p}, i, part)
	img = left
	if err != nil {
		return err
	}
	if img != nil { // answered from memory: perhaps less, or of unknown length
		n = int64(len(c.fc.Response.Body()))
		c.set("X-Bytes-Read", strconv.FormatInt(n, 10))
	}
	if moves {
		h.pos = off + n
	}
	return nil
}

// handleTake reads from what the handle has taken of a consuming file; the
// first read takes it, once. It is kept as the log gave it and rendered for
// each read, so that it takes no memory.
func (c *call) handleTake(h *handle, p vfs.Path, img *fsm.Image, off, size int64, moves bool) error {
	if h.taken == nil {
		if c.gone() {
			return vfs.Timeout.With("the client has left")
		}
		a, err := c.takeOnce(h, p, img)
		if err != nil {
			return err
		}
		r := a.result()
		h.taken = &r
		c.changed(a)
		c.fc.Response.Header.Del("ETag")
	}
	m, _, _ := img.Table.Route(p)
	part := cut{skip: off, left: min(size, maxTaken)}
	var err error
	if render, ok := m.FS.(vfs.Replier); ok {
		ctx := c.within()
		defer ctx.End()
		err = render.Reply(ctx, *h.taken, &part)
	} else {
		_, err = part.Write(h.taken.Data)
	}
	if err != nil && !errors.Is(err, errCut) {
		return err
	}
	if moves {
		h.pos = off + int64(part.buf.Len())
	}
	c.set("X-Bytes-Read", strconv.Itoa(part.buf.Len()))
	c.fc.SetStatusCode(200)
	c.fc.Response.Header.SetContentType("application/octet-stream")
	c.fc.Response.SetBodyRaw(part.buf.Bytes())
	return nil
}

// takeOnce takes under a key of the handle's own, so that a read that is repeated
// after an outcome nobody knows, from whatever offset, gets what the first one
// took. A Device that keeps no keys is not asked again after such an outcome. What was
// refused took nothing, and the next read asks anew: the key would be refused for ever.
func (c *call) takeOnce(h *handle, p vfs.Path, img *fsm.Image) (change, error) {
	if h.lost != nil {
		return change{}, h.lost
	}
	first := h.once == ""
	if first {
		h.once = rand.Text()
	}
	c.own = h.once
	a, err := c.commit(vfs.Op{Verb: vfs.Consume, Path: p}, [32]byte{})
	var u *vfs.Unknown
	if m, _, _ := img.Table.Route(p); errors.As(err, &u) && m.Place != vfs.Replicated && !keepsKeys(m) {
		h.lost = err
	}
	switch vfs.KindOf(err) {
	case vfs.Unavailable, vfs.Timeout, vfs.Internal, vfs.Moved, vfs.Empty: // perhaps it took something, or nobody has decided
	default:
		if first || a.out.Err != nil { // else the log was not asked, and may have taken something before
			h.once = ""
		}
	}
	return a, err
}

// cut keeps a part of what is written to it, in bytes.
type cut struct {
	skip, left int64
	buf        bytes.Buffer
}

// errCut ends the writing once the part is complete.
var errCut = errors.New("enough")

// Write keeps what belongs to the part.
func (c *cut) Write(p []byte) (int, error) {
	n := len(p)
	k := min(c.skip, int64(len(p)))
	c.skip, p = c.skip-k, p[k:]
	p = p[:min(c.left, int64(len(p)))]
	c.buf.Write(p)
	if c.left -= int64(len(p)); c.left == 0 {
		return n, errCut
	}
	return n, nil
}
