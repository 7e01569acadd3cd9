package api

import (
	"context"
	"errors"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/remote"
	"github.com/pfs-project/pfs/vfs"
)

// upTime is how long a request waits in all for a mount that is being started.
const upTime = 3 * time.Second

// grace is what a request has left of the time in which mounts may start.
type grace struct {
	until  time.Time // zero until it is needed
	looked bool      // a mount was up, or gone, when it was looked at again
}

// serve calls the handler. One that met a mount which is just being started on
// this node has done nothing: it is called again once the mount is up or has
// failed, as long as the body of the request is all here or still to come.
func (c *call) serve() error {
	for p := (grace{}); ; {
		err := c.route.serve(c)
		if undone(err) && c.behind() {
			c.fresh = true
			continue
		}
		at := vfs.StartingOf(err)
		if at == "" || !c.repeatable() || !c.awaitStart(at, &p) {
			return err
		}
		c.refused, c.oldest = nil, nil
	}
}

// behind reports whether another node has passed the request on to a mount that
// is not here as far as this node knows, and it can look again.
func (c *call) behind() bool {
	if c.fresh || c.table == nil || c.asked == "" || c.value("id") != "" || // of a handle, which is of this node
		c.header(remote.HopHeader) == "" || !c.repeatable() {
		return false
	}
	m, _, ok := c.table.Route(c.asked)
	return !ok || m.Place != vfs.Pinned || m.Node != c.s.cfg.Node.ID()
}

// undone reports whether err is one of those that a node answers which does not
// know the mount, and says that nothing was done.
func undone(err error) bool {
	switch vfs.KindOf(err) {
	case vfs.NotFound, vfs.Permission:
		return true
	case vfs.Unavailable:
		var unknown *vfs.Unknown
		return !errors.As(err, &unknown)
	}
	return false
}

// repeatable reports whether the body can be had again.
func (c *call) repeatable() bool { return c.in == nil || c.in.got == 0 || c.kept != nil }

// awaitStart waits until the mount at p is up on this node, or has failed, or is
// gone. false: it is too late, there are too many that wait, or the client has
// left.
func (c *call) awaitStart(p vfs.Path, left *grace) bool {
	if left.until.IsZero() {
		left.until = time.Now().Add(upTime)
	}
	leave, err := c.s.waits.enter()
	if err != nil {
		return false
	}
	defer leave()
	news := make(chan struct{}, 1)
	defer c.s.cfg.Node.Watch(fsm.MountRow(p), func() {
		select {
		case news <- struct{}{}:
		default:
		}
	})()
	gone, forget := c.left()
	defer forget()
	late := time.NewTimer(time.Until(left.until))
	defer late.Stop()
	for waited := false; ; waited = true {
		if !c.starts(p) {
			again := waited || !left.looked // one who never waits would go round and round
			left.looked = true
			return again && time.Now().Before(left.until)
		}
		select {
		case <-news:
		case <-late.C:
			return false
		case <-gone:
			return false
		case <-c.s.waits.over:
			return false
		case <-c.context().Done():
			return false
		}
	}
}

// starts reports whether the mount at p is being started on this node.
func (c *call) starts(p vfs.Path) bool {
	img, err := c.s.cfg.Node.Image(c.context(), vfs.Level{Present: true})
	if err != nil {
		return false
	}
	defer img.Release()
	for _, m := range img.Table.Mounts() {
		if m.Path == p {
			return m.Starts()
		}
	}
	return false
}

// awaitUp waits until the mount at p, which the log has from index on, answers on
// this node. One that does not is mounted all the same, and shown as it is.
func (c *call) awaitUp(ctx context.Context, p vfs.Path, index uint64) {
	for left := (grace{}); ; {
		img, err := c.s.cfg.Node.Image(ctx, vfs.Level{MinIndex: index, Wait: upTime})
		if err != nil {
			return
		}
		_, err = img.Table.Stat(ctx, img.View, p) // one that lives elsewhere is waited for there
		img.Release()
		if at := vfs.StartingOf(err); at == "" || !c.awaitStart(at, &left) {
			return
		}
	}
}

// prefixed says what was tried when err came.
func prefixed(text string, err error) error {
	return &vfs.Error{Kind: vfs.KindOf(err), Reason: text + ": " + err.Error(), Starting: vfs.StartingOf(err)}
}
