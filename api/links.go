package api

import (
	"context"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// symlink answers POST /symlink: path is the link, target is kept as given.
func (c *call) symlink() error {
	p, err := c.path()
	if err != nil {
		return err
	}
	var in struct {
		Target string `json:"target"`
	}
	if err := c.decode(&in, "invalid request body"); err != nil {
		return err
	}
	if in.Target == "" {
		return vfs.Invalid.With("target is required")
	}
	a, err := c.commit(vfs.Op{Verb: vfs.Symlink, Path: p, Target: in.Target}, hash(in.Target))
	if err != nil {
		return err
	}
	return c.done(201, "symlink created", a)
}

// readlink answers GET /readlink.
func (c *call) readlink() error {
	return c.look(func(ctx context.Context, img *fsm.Image, p vfs.Path) error {
		target, err := img.Table.Readlink(ctx, img.View, p)
		if err != nil {
			return err
		}
		return c.json(200, map[string]string{"target": target})
	})
}
