package api

import (
	"slices"
	"strings"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// askHeaders are the headers of a write that ask for something beside it, and
// the feature level that brought each: an older node would fold it as nothing.
var askHeaders = []struct {
	header, option string
	since          uint64
}{
	{"X-Pfs-Dedup-Id", "dedup", 0},
	{"X-Pfs-Delay", "delay", 0},
	{"X-Pfs-Priority", "priority", 0},
	{"X-Pfs-Ttl", "ttl", 5},
}

// askParams are the parameters of a read that takes something away.
var askParams = []string{"lease", "max"}

// maxAsk bounds one of them, in bytes.
const maxAsk = 128

// askedOfTake returns those of a read that its file takes.
func (c *call) askedOfTake(m vfs.Mounted, rel vfs.Path) (vfs.Options, error) {
	o := vfs.Options{}
	for _, name := range askParams {
		if v, ok := c.query.get(name); ok {
			o[name] = v
		}
	}
	return c.taken(o, m, vfs.Consume, rel)
}

// waitable reports whether a Device waits at a file until it has something.
func (c *call) waitable(m vfs.Mounted, rel vfs.Path) bool {
	f, ok := m.FS.(vfs.Optioned)
	if !ok {
		return false
	}
	names, err := f.Options(nil, vfs.Consume, rel)
	return err == nil && slices.Contains(names, "wait")
}

// askedOfWrite returns those of a write that its file takes.
func (c *call) askedOfWrite(m vfs.Mounted, rel vfs.Path) (vfs.Options, error) {
	if !c.says {
		return nil, nil
	}
	o := vfs.Options{}
	for _, h := range askHeaders {
		if v := c.header(h.header); v != "" {
			o[h.option] = v
		}
	}
	if c.lines() {
		o["batch"] = "true"
	}
	return c.taken(o, m, vfs.Write, rel)
}

// lines reports whether the body says that it is a thing on each line.
func (c *call) lines() bool {
	kind, _, _ := strings.Cut(c.header("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "application/x-ndjson")
}

// taken drops what the file does not take, and checks the rest.
func (c *call) taken(o vfs.Options, m vfs.Mounted, verb vfs.Verb, rel vfs.Path) (vfs.Options, error) {
	f, ok := m.FS.(vfs.Optioned)
	if len(o) == 0 || !ok {
		return nil, nil
	}
	ctx := c.within()
	defer ctx.End()
	img, err := c.s.cfg.Node.Image(ctx, vfs.Level{})
	if err != nil {
		return nil, err
	}
	defer img.Release()
	names, err := f.Options(vfs.Sub(img.View, vfs.MountPrefix(m.ID)), verb, rel)
	if err != nil {
		return nil, err
	}
	out := vfs.Options{}
	for _, name := range names {
		v, ok := o[name]
		if !ok {
			continue
		}
		if len(v) > maxAsk || strings.ContainsFunc(v, func(r rune) bool { return r < 0x20 || r >= 0x7f }) {
			return nil, vfs.Invalid.Withf("%s must be at most %d printable ASCII characters", name, maxAsk)
		}
		out[name] = v
	}
	at := fsm.LevelOf(img.View)
	for _, h := range askHeaders {
		if _, ok := out[h.option]; ok && at < h.since {
			return nil, vfs.Unavailable.Withf("%s needs feature level %d and the cluster is at %d: run the newer version on every member",
				h.header, h.since, at)
		}
	}
	return out, nil
}

// asks returns what a request asks for in its headers, for the sum of its key.
func (c *call) asks() (out []string) {
	for _, h := range askHeaders {
		if v := c.header(h.header); v != "" {
			out = append(out, h.header, v)
		}
	}
	if c.lines() {
		out = append(out, "lines")
	}
	return out
}
