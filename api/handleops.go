package api

import (
	"strconv"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

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
	ctx := c.within()
	defer ctx.End()
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
