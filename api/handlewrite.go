package api

import (
	"encoding/json"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

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

// joined adds the members of the JSON object extra to those of b.
func joined(b, extra []byte) []byte {
	if len(extra) > 2 && extra[0] == '{' && json.Valid(extra) && strings.HasSuffix(string(b), "}") {
		return append(append(b[:len(b)-1], ','), extra[1:]...)
	}
	return b
}
