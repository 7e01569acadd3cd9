package api

import (
	"context"
	"strconv"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/lapse"
	"github.com/pfs-project/pfs/vfs"
)

// info is how a file is described to clients.
type info struct {
	Name    string `json:"name"`
	Size    int64  `json:"size"`
	Mode    uint32 `json:"mode"` // permission bits
	ModTime string `json:"modTime"`
	IsDir   bool   `json:"isDir"` // of a symbolic link: the target's
	Meta    meta   `json:"meta"`
}

type meta struct {
	Name    string
	Type    string
	Content map[string]string
}

func infoOf(i vfs.Info) info {
	out := info{
		Name: i.Name, Size: i.Size, Mode: uint32(i.Mode.Perm()), IsDir: i.IsDir(),
		ModTime: i.ModTime.UTC().Format(time.RFC3339Nano),
		Meta:    meta{Name: i.Meta.Name, Type: i.Meta.Type},
	}
	if len(i.Meta.Content) > 0 {
		out.Meta.Content = i.Meta.Content
	}
	if i.Mode.IsLink() {
		out.Mode, out.Meta.Type = 0o777, "symlink"
	}
	return out
}

// describe is infoOf of the file at p; the target of a link tells isDir.
func describe(ctx context.Context, img *fsm.Image, p vfs.Path, i vfs.Info) info {
	out := infoOf(i)
	if !i.Mode.IsLink() {
		return out
	}
	out.Size = int64(len(i.Target))
	if target, _, err := img.Table.Lookup(ctx, img.View, "stat", p); err == nil {
		out.IsDir = target.IsDir()
	}
	return out
}

// named returns err under the verb and the path that the client used.
func named(err error, verb string, p vfs.Path) error {
	if err == nil {
		return nil
	}
	e, ok := vfs.At(err, verb, p).(*vfs.Error)
	if ok {
		e.Verb, e.Path = verb, p
		return e
	}
	return err
}

// image returns the state to read from, as fresh as the request asks, and says
// in the answer which index it reflects. The caller releases it.
func (c *call) image() (*fsm.Image, error) {
	l, err := c.level()
	if err != nil {
		return nil, err
	}
	return c.imageAt(l)
}

// longWait is how long a wait for an image may be a part of the step behind it.
const longWait = 100 * time.Millisecond

// imageStep is image, with the context for what is done with it. One that is there
// at once needs no context of its own.
func (c *call) imageStep() (*fsm.Image, *lapse.Context, error) {
	l, err := c.level()
	if err != nil {
		return nil, nil, err
	}
	if l.Linearizable || l.MinIndex > 0 {
		img, err := c.imageAt(l)
		return img, c.within(), err
	}
	ctx, began := c.within(), time.Now()
	img, err := c.imageIn(ctx, l)
	if time.Since(began) > longWait {
		ctx.End()
		ctx = c.within()
	}
	return img, ctx, err
}

func (c *call) imageAt(l vfs.Level) (*fsm.Image, error) {
	ctx := lapse.After(c.context(), max(l.Wait, c.s.limits.Op))
	defer ctx.End()
	return c.imageIn(ctx, l)
}

func (c *call) imageIn(ctx context.Context, l vfs.Level) (*fsm.Image, error) {
	img, err := c.s.cfg.Node.Image(ctx, l)
	if err != nil {
		return nil, err
	}
	c.table = img.Table
	var b [20]byte
	c.head("X-Pfs-Index", strconv.AppendUint(b[:0], img.Index, 10))
	return img, nil
}

// stat answers GET /stat. A link at the end is not followed.
func (c *call) stat() error {
	if held, err := c.awaitChange("stat", false); held || err != nil {
		return err
	}
	return c.look(func(ctx context.Context, img *fsm.Image, p vfs.Path) error {
		i, err := img.Table.Stat(ctx, img.View, p)
		if err != nil {
			return err
		}
		c.validators(i)
		c.whose(img, p, i)
		out := describe(ctx, img, p, i)
		m, _, _ := img.Table.Route(p)
		if m.Place == vfs.Replicated { // others count their own
			c.s.audience.count(heard{m.ID, i.ID}, &out)
		}
		return c.json(200, out)
	})
}

// look has the path of the query looked at, in the state to read from. at does
// not keep the image.
func (c *call) look(at func(ctx context.Context, img *fsm.Image, p vfs.Path) error) error {
	p, err := c.path()
	if err != nil {
		return err
	}
	img, ctx, err := c.imageStep()
	if err != nil {
		return err
	}
	defer ctx.End()
	defer img.Release()
	return at(ctx, img, p)
}

// validators sets what conditional requests compare with.
func (c *call) validators(i vfs.Info) {
	if i.Version > 0 {
		c.setTag(i.Version)
	}
	if !i.ModTime.IsZero() {
		var b [len(httpTime)]byte
		c.head("Last-Modified", i.ModTime.UTC().AppendFormat(b[:0], httpTime))
	}
}

// httpTime is the date format of HTTP.
const httpTime = "Mon, 02 Jan 2006 15:04:05 GMT"
