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

// tryReload starts a library that is to take the place of another beside the mounts
// that it has on this node, with their settings: code that none of them could start
// with is refused, and the one before it serves on.
func (c *call) tryReload(lib vfs.Library, code vfs.Content) error {
	if _, ours := c.s.plugins[lib.Name]; ours {
		return nil // it gets another name
	}
	img, err := c.imageAt(vfs.Level{Linearizable: true})
	if err != nil {
		return err
	}
	mounts := img.Table.Mounts()
	old, ok := fsm.LibraryOf(img.View, lib.Name)
	img.Release()
	if !ok || old.Sum == lib.Sum || old.Place != lib.Place {
		return nil
	}
	lib.Data, lib.Refs = code.Data, code.Refs
	plugin := c.s.cfg.Libraries.Plugin(fsm.Kept(lib))
	for _, m := range mounts {
		if m.Type != lib.Name || m.Place == vfs.Pinned && m.Node != c.s.cfg.Node.ID() {
			continue
		}
		config, err := c.s.cfg.Secrets.Reveal(plugin, m.Config)
		if err != nil {
			return err
		}
		fs, err := plugin.New(c.s.cfg.Env(m), config)
		if err == nil {
			err = c.start(fs)
		}
		if err != nil {
			return vfs.Invalid.Withf("nothing was replaced: the plugin does not start with the settings of its mount at %s: %v", m.Path, err)
		}
	}
	return nil
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
