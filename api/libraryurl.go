package api

import (
	"context"
	"net/url"
	"strings"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// The placements that a load may ask for.
const (
	pinned    = "pinned"     // a mount runs on one node, and others ask that
	anyReader = "any-reader" // every node runs each mount, which nothing changes
)

var placements = map[string]vfs.Placement{"": vfs.Pinned, pinned: vfs.Pinned, anyReader: vfs.PerNode}

// placeName is what a placement is called in a load.
func placeName(p vfs.Placement) string {
	if p == vfs.PerNode {
		return anyReader
	}
	return pinned
}

// level is the feature level that every member must be at.
func (a loadAsk) level() uint64 {
	if placements[a.Place] != vfs.Pinned {
		return fsm.PlacementLevel
	}
	return fsm.LibraryLevel
}

// fromURL reads the code from another server, until the client leaves.
func (c *call) fromURL(a loadAsk) ([]byte, error) {
	if err := c.hold(maxCode); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(c.context())
	defer cancel()
	left, forget := c.left()
	defer forget()
	go func() { // until the code is here
		select {
		case <-left:
			cancel()
		case <-ctx.Done():
		}
	}()
	return c.s.cfg.Libraries.Fetch(ctx, a.Path, a.Sum)
}

// sourceOf is what is kept of where a plugin came from: of a URL no query, in
// which there may be a key.
func sourceOf(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return path
	}
	path, _, _ = strings.Cut(path, "#")
	path, _, _ = strings.Cut(path, "?")
	return path
}
