package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/pfs-project/pfs/lapse"
	"github.com/pfs-project/pfs/vfs"
)

// flagNames are the flags of a write, as documented for the peer.
var flagNames = map[string]vfs.Flag{
	"append": vfs.FlagAppend, "create": vfs.FlagCreate, "exclusive": vfs.FlagExclusive,
	"truncate": vfs.FlagTruncate, "sync": vfs.FlagSync,
}

// writeOp makes the Op of a write from the query: the whole file, or at an
// offset, or as the flags say.
func (c *call) writeOp(p vfs.Path) (vfs.Op, error) {
	op := vfs.Op{Verb: vfs.Write, Path: p, Flag: vfs.FlagCreate | vfs.FlagTruncate}
	_, placed := c.query.get("offset")
	if placed {
		op.Flag = vfs.FlagCreate
	}
	off, err := c.integer("offset", 0, "invalid offset parameter")
	if err != nil {
		return op, err
	}
	if off < 0 {
		return op, vfs.Invalid.With("invalid offset: negative")
	}
	op.Off = off
	names, ok := c.query.get("flags")
	if ok {
		op.Flag = 0
		for name := range strings.SplitSeq(names, ",") {
			f, known := flagNames[name]
			if !known {
				return op, vfs.Invalid.With("invalid flags parameter: one or more of append, create, exclusive, truncate, sync")
			}
			op.Flag |= f
		}
	}
	if op.Flag&vfs.FlagExclusive != 0 {
		op.Flag |= vfs.FlagCreate
	}
	if op.Flag&vfs.FlagAppend != 0 {
		if placed {
			return op, vfs.Invalid.With("offset and flags=append exclude each other")
		}
		op.Off = vfs.AtEnd
	}
	op.If, err = c.cond()
	return op, err
}

// writeFile answers PUT /files. The Content-Type is not looked at.
func (c *call) writeFile() error {
	p, err := c.path()
	if err != nil {
		return err
	}
	op, err := c.writeOp(p)
	if err != nil {
		return err
	}
	return c.put(op, c.body())
}

// write answers POST /write: raw bytes, or {"data": …} as JSON.
func (c *call) write() error {
	if !strings.Contains(c.header("Content-Type"), "application/json") {
		return c.writeFile()
	}
	var in struct {
		Data string `json:"data"`
	}
	if err := c.decode(&in, "invalid JSON body"); err != nil {
		return err
	}
	p, err := c.path()
	if err != nil {
		return err
	}
	op, err := c.writeOp(p)
	if err != nil {
		return err
	}
	return c.put(op, &body{r: strings.NewReader(in.Data), want: int64(len(in.Data))})
}

// put answers a write of the body.
func (c *call) put(op vfs.Op, in *body) error {
	a, n, err := c.putOp(op, in)
	if err != nil {
		return err
	}
	return c.done(200, "Written "+strconv.FormatInt(n, 10)+" bytes", a)
}

// putOp writes the body as op says and returns how many bytes it had. What can
// be refused is refused before the body is read.
func (c *call) putOp(op vfs.Op, in *body) (a change, n int64, err error) {
	key, err := c.key()
	if err != nil {
		return a, 0, err
	}
	base := c.context()
	ctx := lapse.After(base, c.s.limits.Op)
	m, rel, err := c.target(ctx, op)
	ctx.End()
	switch {
	case err != nil:
		return a, 0, err
	case m.Place != vfs.Replicated:
		return c.putOutside(m, op, rel, in)
	}
	if _, ok := m.FS.(vfs.Follower); ok && key == "" {
		return c.appendBody(op, m.ID, in)
	}
	o, err := c.askedOfWrite(m, rel.Path)
	if err != nil {
		return a, 0, err
	}
	op.Target = o.Encode()
	if o["batch"] != "" {
		return c.storeBatch(m, op, rel, o, in)
	}
	return c.store(base, m, op, rel, in)
}

// maxRefused is how many bytes of a body are read that would be refused, were
// it not for its key: no repeat of a longer one is recognised.
const maxRefused = 1 << 20

// store keeps the body and then commits the one Event that names it. base is the
// context of the request.
func (c *call) store(base context.Context, m vfs.Mounted, op, rel vfs.Op, in *body) (change, int64, error) {
	limit := in.limit
	if c.refused != nil {
		limit = maxRefused
	}
	kept, err := c.s.cfg.Node.Keep(base, in, limit)
	if err != nil && c.refused != nil {
		return change{}, 0, c.refused
	}
	if in.err != nil {
		err = in.err // what the client did wrong, before what followed from it
	}
	if err != nil {
		return change{}, 0, err
	}
	op.Data, op.Refs = kept.Data, kept.Refs
	ops := []vfs.Op{op}
	if kept.Upload != 0 {
		ops = []vfs.Op{{Verb: vfs.Commit, File: kept.Upload}, op}
	}
	sum := kept.Sum
	if key, err := c.key(); err == nil && key != "" && len(kept.Refs) == 0 { // nobody else asks for it
		sum = blake3.Sum256(kept.Data)
	}
	ctx := lapse.After(base, c.s.limits.Op)
	defer ctx.End()
	a, err := c.propose(ctx, m, rel, sum, ops...)
	return a, kept.Size, err
}

// createFile answers POST /files.
func (c *call) createFile() error {
	return c.simple(201, "file created", vfs.Op{Verb: vfs.Create})
}

// remove answers DELETE of files and directories.
func (c *call) remove() error {
	verb := vfs.Remove
	if c.is("recursive") {
		verb = vfs.RemoveAll
	}
	return c.simple(200, "deleted", vfs.Op{Verb: verb})
}

// touch answers POST /touch.
func (c *call) touch() error { return c.simple(200, "touched", vfs.Op{Verb: vfs.Touch}) }

// truncate answers POST /truncate.
func (c *call) truncate() error {
	if _, err := c.path(); err != nil {
		return err
	}
	size, err := c.size()
	if err != nil {
		return err
	}
	return c.simple(200, "truncated", vfs.Op{Verb: vfs.Truncate, Off: size})
}

// size returns the parameter of a truncate.
func (c *call) size() (int64, error) {
	if v, _ := c.query.get("size"); v == "" {
		return 0, vfs.Invalid.With("size parameter is required")
	}
	size, err := c.integer("size", 0, "invalid size parameter")
	switch {
	case err != nil:
		return 0, err
	case size < 0:
		return 0, vfs.Invalid.With("size must be non-negative")
	}
	return size, nil
}

// sync answers POST /sync: what was acknowledged is synced already.
func (c *call) sync() error { return c.json(200, message{Message: "synced"}) }

// chmod answers POST /chmod.
func (c *call) chmod() error {
	if _, err := c.path(); err != nil {
		return err
	}
	var in struct {
		Mode *uint32 `json:"mode"`
	}
	if err := c.decode(&in, "invalid request body"); err != nil {
		return err
	}
	switch {
	case in.Mode == nil:
		return vfs.Invalid.With("invalid request body")
	case *in.Mode&^0o177777 != 0: // S_IFREG and the like are dropped
		return vfs.Invalid.With("invalid mode")
	}
	return c.simple(200, "permissions changed", vfs.Op{Verb: vfs.Chmod, Mode: vfs.Mode(*in.Mode) & vfs.ModePerm},
		fmt.Sprint(*in.Mode))
}

// rename answers POST /rename.
func (c *call) rename() error {
	p, err := c.path()
	if err != nil {
		return err
	}
	var in struct {
		NewPath string `json:"newPath"`
	}
	if err := c.decode(&in, "invalid request body"); err != nil {
		return err
	}
	if in.NewPath == "" {
		return vfs.Invalid.With("newPath is required")
	}
	to, err := parsePath(in.NewPath)
	if err != nil {
		return err
	}
	a, err := c.commit(vfs.Op{Verb: vfs.Rename, Path: p, To: to}, hash(in.NewPath))
	if err != nil {
		return err
	}
	return c.done(200, "renamed", a)
}

// decode reads the first JSON value of the body into v. What follows it, and
// fields that v lacks, are passed over, as the compatible contract has it.
func (c *call) decode(v any, text string) error {
	b, err := c.all()
	if err != nil {
		return err
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(v); err != nil {
		if head, ok := strings.CutSuffix(text, "%v"); ok {
			text = head + err.Error()
		}
		return vfs.Invalid.With(text)
	}
	return nil
}
