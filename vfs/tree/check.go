package tree

import (
	"encoding/binary"
	"fmt"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/content"
)

// Check names the first broken invariant of the state. It reads all of it.
func (t *FS) Check(v vfs.View) error {
	b, ok := v.Get([]byte{counterKey})
	if !ok || len(b) != 8 {
		return fmt.Errorf("tree: no counter")
	}
	c := checker{v: v, last: binary.BigEndian.Uint64(b), owned: map[uint64]bool{}}
	for _, pass := range []func() error{c.inodes, c.entries, c.extents} {
		if err := pass(); err != nil {
			return err
		}
	}
	return nil
}

type checker struct {
	v     vfs.View
	last  uint64
	owned map[uint64]bool // content ids that a file or an orphan has
}

// inodes checks that each inode is where it says, and its content whole.
func (c *checker) inodes() error {
	for k, row := range c.v.Scan([]byte{inodeKey}, nil) {
		id := binary.BigEndian.Uint64(k[1:])
		n := decode(id, row)
		switch {
		case id > c.last || n.content > c.last:
			return fmt.Errorf("tree: inode %d is newer than the counter %d", id, c.last)
		case id == rootID:
			if n.parent != 0 || !n.mode.IsDir() {
				return fmt.Errorf("tree: the root is not a root")
			}
			continue
		case n.parent == 0:
			if what, ok := c.v.Get(idKey(orphanKey, id)); !ok || what[0] != orphanDir {
				return fmt.Errorf("tree: inode %d is lost", id)
			}
			continue
		}
		e, ok := c.v.Get(nameKey(n.parent, n.name))
		if !ok {
			return fmt.Errorf("tree: inode %d has no entry %q in %d", id, n.name, n.parent)
		}
		if got, kind := decodeEntry(e); got != id || kind != n.kind() {
			return fmt.Errorf("tree: entry %q in %d is not inode %d", n.name, n.parent, id)
		}
		if n.kind() == fileKind {
			c.owned[n.content] = true
			if err := content.Check(c.v, n.extents(), n.size); err != nil {
				return fmt.Errorf("tree: inode %d: %w", id, err)
			}
		}
	}
	return nil
}

// entries checks that each entry names an inode and lies in a directory.
func (c *checker) entries() error {
	for k, row := range c.v.Scan([]byte{entryKey}, nil) {
		parent, name := binary.BigEndian.Uint64(k[1:]), string(k[9:])
		id, _ := decodeEntry(row)
		n, ok := load(c.v, id)
		if !ok || n.parent != parent || n.name != name {
			return fmt.Errorf("tree: entry %q in %d names no inode of its own", name, parent)
		}
		if d, ok := load(c.v, parent); !ok || !d.mode.IsDir() {
			return fmt.Errorf("tree: entry %q is in %d, which is no directory", name, parent)
		}
	}
	return nil
}

// extents checks that all content belongs to a file or waits to be freed.
func (c *checker) extents() error {
	for k, what := range c.v.Scan([]byte{orphanKey}, nil) {
		id := binary.BigEndian.Uint64(k[1:])
		if what[0] == orphanContent {
			c.owned[id] = true
		} else if n, ok := load(c.v, id); !ok || n.parent != 0 {
			return fmt.Errorf("tree: orphan %d is no detached directory", id)
		}
	}
	for k := range c.v.Scan([]byte{contentKey}, nil) {
		if id := binary.BigEndian.Uint64(k[1:]); !c.owned[id] {
			return fmt.Errorf("tree: content %d belongs to no file", id)
		}
	}
	return nil
}
