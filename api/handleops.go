package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// maxTaken bounds a read through a handle that names no size, in bytes.
const maxTaken = 1 << 20

// handleOps are the calls below /handles/{id}/.
var handleOps = map[string]struct {
	method string
	serve  func(*call, *handle) error
}{
	"read":     {"GET", (*call).handleRead},
	"write":    {"PUT", (*call).handleWrite},
	"seek":     {"POST", (*call).handleSeek},
	"sync":     {"POST", func(c *call, _ *handle) error { return c.sync() }},
	"stat":     {"GET", (*call).handleStat},
	"stream":   {"GET", (*call).handleStream},
	"truncate": {"POST", (*call).handleTruncate},
	"renew":    {"POST", (*call).handleRenew},
}

// openHandle answers POST /handles/open.
func (c *call) openHandle() error {
	p, err := c.path()
	if err != nil {
		return err
	}
	o, err := c.opening()
	if err != nil {
		return err
	}
	c.plain = true // it may take two Ops, or none
	h, err := c.open(p, o)
	if err != nil {
		return err
	}
	if err := c.s.handles.add(h, c.s.cfg.Node.Number()); err != nil {
		return err
	}
	return c.json(200, c.s.handles.info(h, false))
}

// open finds or makes the file.
func (c *call) open(p vfs.Path, o opening) (*handle, error) {
	if c.s.handles.count() >= c.s.limits.Handles {
		return nil, vfs.Throttled.Withf("too many open handles (%d)", c.s.limits.Handles)
	}
	h, i, err := c.lookOpen(p)
	switch {
	case err == nil && o.excl:
		return nil, vfs.At(vfs.Exists, "open", p)
	case vfs.KindOf(err) == vfs.NotFound && o.create:
		_, err = c.commit(vfs.Op{Verb: vfs.Create, Path: p, Mode: o.mode}, [32]byte{})
		if err != nil && (o.excl || vfs.KindOf(err) != vfs.Exists) {
			return nil, err
		}
		h, i, err = c.lookOpen(p)
	}
	switch {
	case err != nil:
		return nil, err
	case i.IsDir():
		return nil, vfs.At(vfs.IsDirectory, "open", p)
	}
	h.access, h.flags, h.lease = o.access, o.flags, o.lease
	if o.trunc && o.access&writable != 0 { // also an empty one: another node may know of more
		if _, err := c.commit(vfs.Op{Verb: vfs.Truncate, Path: p}, [32]byte{}); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// lookOpen describes the file that p leads to, as a handle without rights.
func (c *call) lookOpen(p vfs.Path) (*handle, vfs.Info, error) {
	img, err := c.image()
	if err != nil {
		return nil, vfs.Info{}, err
	}
	defer img.Release()
	ctx, cancel := c.within()
	defer cancel()
	i, at, err := img.Table.Lookup(ctx, img.View, "open", p)
	if err != nil {
		return nil, i, err
	}
	m, _, ok := img.Table.Route(at)
	if !ok {
		return &handle{path: at}, i, nil // a directory above the mounts
	}
	h := &handle{path: at, mount: m.ID}
	if _, ok := m.FS.(vfs.Finder); ok {
		h.file = i.ID
	}
	return h, i, nil
}

// listHandles answers GET /handles: those of this node.
func (c *call) listHandles() error {
	if c.method() != "GET" {
		return vfs.Invalid.With("handle ID required")
	}
	out := []handleInfo{}
	for _, h := range c.s.handles.list() {
		out = append(out, c.s.handles.info(h, true))
	}
	return c.json(200, struct {
		Handles []handleInfo `json:"handles"`
		Count   int          `json:"count"`
		Max     int          `json:"max"`
	}{out, len(out), c.s.limits.Handles})
}

// handleID returns the id in the route, and whether another node has it.
func (c *call) handleID() (id int64, away bool, err error) {
	id, err = strconv.ParseInt(c.value("id"), 10, 64)
	if err != nil {
		return 0, false, vfs.Invalid.With("invalid handle ID: must be a number")
	}
	number := uint16(id >> handleBits)
	return id, id > 0 && number != 0 && number != c.s.cfg.Node.Number(), nil
}

// handle answers GET and DELETE of one handle.
func (c *call) handle() error {
	m := c.method()
	if c.value("id") == "open" {
		return c.notAllowed("POST")
	}
	id, away, err := c.handleID()
	switch {
	case m != "GET" && m != "DELETE":
		return c.notAllowed("DELETE, GET")
	case err != nil:
		return err
	case away:
		return c.forward(uint16(id >> handleBits))
	case m == "DELETE":
		if err := c.s.handles.close(id); err != nil {
			return err
		}
		return c.json(200, message{Message: "handle closed"})
	}
	h, err := c.s.handles.use(id, 0)
	if err != nil {
		return err
	}
	if _, _, err := c.lookHandle(h); err != nil {
		return err
	}
	return c.json(200, c.s.handles.info(h, true))
}

// handleOp answers a call below one handle.
func (c *call) handleOp() error {
	name := c.value("op")
	op, ok := handleOps[name]
	switch {
	case name == "":
		return c.unknownRoute()
	case !ok:
		return vfs.NotFound.Withf("unknown operation: %s", printable(name))
	case c.method() != op.method:
		return c.notAllowed(op.method)
	}
	id, away, err := c.handleID()
	if err != nil {
		return err
	}
	if away {
		return c.forward(uint16(id >> handleBits))
	}
	h, err := c.s.handles.use(id, 0)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return op.serve(c, h)
}

func (c *call) notAllowed(allow string) error {
	c.set("Allow", allow)
	return c.wrongMethod()
}

// lookHandle describes the handle's file as it is now. A handle whose file or
// mount is gone ends.
func (c *call) lookHandle(h *handle) (vfs.Path, vfs.Info, error) {
	img, err := c.image()
	if err != nil {
		return "", vfs.Info{}, err
	}
	defer img.Release()
	return c.inImage(h, img)
}

func (c *call) inImage(h *handle, img *fsm.Image) (vfs.Path, vfs.Info, error) {
	p, err := h.where(img)
	c.asked = p
	if err != nil {
		_ = c.s.handles.close(h.id) // gone already is as good
		return "", vfs.Info{}, err
	}
	ctx, cancel := c.within()
	defer cancel()
	i, err := img.Table.Stat(ctx, img.View, p)
	return p, i, err
}

// place returns where a read or write of the handle starts; moves: it uses and
// advances the position.
func (c *call) place(h *handle) (off int64, moves bool, err error) {
	if _, ok := c.query.get("offset"); !ok {
		return h.pos, true, nil
	}
	off, err = c.integer("offset", 0, "invalid offset parameter")
	if err == nil && off < 0 {
		err = vfs.Invalid.With("invalid offset: negative")
	}
	return off, false, err
}

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
	left, err := c.content(&fileBody{s: c.life(), img: img, path: p, asked: p}, i, part)
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
		a, err := c.commit(vfs.Op{Verb: vfs.Consume, Path: p}, [32]byte{})
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
		ctx, cancel := c.within()
		defer cancel()
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

// handleWrite writes at the position, at an offset, or at the end.
func (c *call) handleWrite(h *handle) error {
	if h.access&writable == 0 {
		return vfs.Permission.With("handle not opened for writing")
	}
	off, moves, err := c.place(h)
	if err != nil {
		return err
	}
	p, _, err := c.lookHandle(h)
	if err != nil {
		return err
	}
	op := vfs.Op{Verb: vfs.Write, Path: p, Off: off}
	if h.file != 0 {
		op.Mount, op.File = h.mount, h.file
	}
	if op.If, err = c.cond(); err != nil {
		return err
	}
	if key, _ := c.key(); key != "" && moves { // putOp refuses a bad one
		if key == h.lastKey {
			off, op.Off = h.lastOff, h.lastOff
		}
		h.lastKey, h.lastOff = key, off
	}
	atEnd := moves && h.access&appends != 0
	if atEnd {
		op.Off = vfs.AtEnd
	}
	a, n, err := c.putOp(op, c.body())
	if err != nil {
		return err
	}
	if moves {
		h.pos = off + n
	}
	if atEnd {
		if _, i, err := c.lookHandle(h); err == nil {
			h.pos = i.Size
		}
	}
	c.changed(a)
	b, err := json.Marshal(struct {
		BytesWritten int64  `json:"bytes_written"`
		Written      int64  `json:"written"`
		Position     int64  `json:"position"`
		Index        uint64 `json:"index,omitempty"`
	}{n, n, h.pos, a.out.Index})
	if err != nil {
		return err
	}
	c.raw(200, append(joined(b, a.result().Data), '\n'))
	return nil
}

// handleSeek moves the position.
func (c *call) handleSeek(h *handle) error {
	if v, _ := c.query.get("offset"); v == "" {
		return vfs.Invalid.With("offset parameter is required")
	}
	off, err := c.integer("offset", 0, "invalid offset parameter")
	if err != nil {
		return err
	}
	_, i, err := c.lookHandle(h)
	if err != nil {
		return err
	}
	from := int64(0)
	switch v, ok := c.query.get("whence"); {
	case !ok || v == "0":
	case v == "1":
		from = h.pos
	case v == "2":
		from = i.Size
	default:
		return vfs.Invalid.With("invalid whence parameter (must be 0, 1, or 2)")
	}
	pos := from + off
	switch {
	case pos < 0 || off > vfs.MaxSize:
		return vfs.Invalid.With("invalid offset: negative position or beyond the longest file")
	case i.Consumes():
		pos = 0 // what is taken has no places
	}
	h.pos = pos
	return c.json(200, map[string]int64{"position": pos, "offset": pos})
}

// handleStat describes the file.
func (c *call) handleStat(h *handle) error {
	_, i, err := c.lookHandle(h)
	if err != nil {
		return err
	}
	return c.json(200, infoOf(i))
}

// handleTruncate cuts or grows the file.
func (c *call) handleTruncate(h *handle) error {
	if h.access&writable == 0 {
		return vfs.Permission.With("handle not opened for writing")
	}
	size, err := c.size()
	if err != nil {
		return err
	}
	p, _, err := c.lookHandle(h)
	if err != nil {
		return err
	}
	op := vfs.Op{Verb: vfs.Truncate, Path: p, Off: size}
	if h.file != 0 {
		op.Mount, op.File = h.mount, h.file
	}
	a, err := c.commit(op, [32]byte{})
	if err != nil {
		return err
	}
	return c.done(200, "truncated", a)
}

// handleRenew starts the lease again, for another time if one is given.
func (c *call) handleRenew(h *handle) error {
	lease, err := c.lease(0)
	if err != nil {
		return err
	}
	h, err = c.s.handles.use(h.id, lease)
	if err != nil {
		return err
	}
	return c.json(200, c.s.handles.info(h, true))
}

// joined adds the members of the JSON object extra to those of b.
func joined(b, extra []byte) []byte {
	if len(extra) > 2 && extra[0] == '{' && json.Valid(extra) && strings.HasSuffix(string(b), "}") {
		return append(append(b[:len(b)-1], ','), extra[1:]...)
	}
	return b
}
