package tree

import (
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/content"
)

// errMountPoint refuses to remove or rename the root.
var errMountPoint = vfs.Permission.With("mount point")

func (f *fold) create() (vfs.Result, error) {
	s, err := walk(f.tx, f.op.Path)
	if err != nil {
		return vfs.Result{}, err
	}
	if s.kind == linkKind {
		_, err := follow(f.tx, f.op.Path)
		return vfs.Result{}, err
	}
	if s.id != 0 {
		return vfs.Result{}, vfs.Exists.With("file")
	}
	n, err := f.makeFile(s)
	return vfs.Result{Version: n.version, File: n.id}, err
}

func (f *fold) mkdir() (vfs.Result, error) {
	n, err := f.makeNew("directory", vfs.ModeDir|f.perm(DirMode))
	return vfs.Result{Version: n.version, File: n.id}, err
}

func (f *fold) symlink() (vfs.Result, error) {
	noun := "file"
	if s, err := walk(f.tx, f.op.Path); err == nil && s.kind == linkKind {
		noun = "symlink"
	}
	if f.op.Target == "" || len(f.op.Target) > vfs.MaxPath {
		return vfs.Result{}, vfs.Invalid.With("target of a link is empty or too long")
	}
	n, err := f.makeNew(noun, vfs.ModeLink|0o777)
	if err != nil {
		return vfs.Result{}, err
	}
	n.target, n.size = f.op.Target, int64(len(f.op.Target))
	return f.done(&n)
}

// makeNew makes what the Op names in a directory that is there.
func (f *fold) makeNew(noun string, mode vfs.Mode) (node, error) {
	s, err := walk(f.tx, f.op.Path)
	switch {
	case err != nil:
		return node{}, err
	case s.id != 0:
		return node{}, vfs.Exists.With(noun)
	}
	if err := f.guard(f.op.Path); err != nil {
		return node{}, err
	}
	if len(s.below) > 0 {
		return node{}, vfs.NotFound
	}
	return f.make(s, mode), nil
}

func (f *fold) remove() (vfs.Result, error) {
	n, err := f.named()
	if err != nil {
		return vfs.Result{}, err
	}
	if n.mode.IsDir() && !f.empty(n) {
		return vfs.Result{}, vfs.NotEmpty
	}
	return f.take(n), nil
}

func (f *fold) removeAll() (vfs.Result, error) {
	if f.op.Path == f.o.Home && !f.o.Home.IsRoot() {
		return f.removeBelow()
	}
	n, err := f.named()
	if err != nil {
		return vfs.Result{}, err
	}
	return f.take(n), nil
}

// removeBelow empties the home directory, which itself stays: its inode moves
// to the orphans with all entries, and a fresh one takes its place.
func (f *fold) removeBelow() (vfs.Result, error) {
	old, err := find(f.tx, f.op.Path)
	if err != nil {
		return vfs.Result{}, err
	}
	if f.empty(old) {
		return f.done(&old)
	}
	fresh := old
	fresh.id = f.newID()
	fresh.content = fresh.id
	old.parent = 0
	f.put(old)
	f.orphan(old.id, orphanDir)
	f.link(fresh)
	f.changeDir(fresh.parent)
	return f.done(&fresh)
}

// named returns what the Op names, if it may be taken away.
func (f *fold) named() (node, error) {
	if f.op.Path.IsRoot() {
		return node{}, errMountPoint
	}
	n, err := find(f.tx, f.op.Path)
	if err != nil {
		return node{}, err
	}
	return n, f.guard(f.op.Path)
}

func (f *fold) empty(dir node) bool {
	for range f.tx.Scan(idKey(entryKey, dir.id), nil) {
		return false
	}
	return true
}

// take takes n out of the tree. What a directory holds is left to Reap.
func (f *fold) take(n node) vfs.Result {
	f.tx.Delete(nameKey(n.parent, n.name))
	f.changeDir(n.parent)
	f.free(n)
	return vfs.Result{File: n.id}
}

// free deletes n, which has no entry any more, or makes it an orphan.
func (f *fold) free(n node) {
	if n.mode.IsDir() && !f.empty(n) {
		n.parent = 0
		f.put(n)
		f.orphan(n.id, orphanDir)
		return
	}
	if !content.Remove(f.tx, n.extents(), n.size, reapRows) {
		f.orphan(n.content, orphanContent)
	}
	f.drop(n.id)
}

// drop deletes an inode.
func (f *fold) drop(id uint64) {
	f.tx.Delete(idKey(inodeKey, id))
	if f.o.Freed != nil {
		f.o.Freed(f.tx, id)
	}
}

func (f *fold) rename() (vfs.Result, error) {
	n, err := f.named()
	if err != nil {
		return vfs.Result{}, err
	}
	s, err := walk(f.tx, f.op.To)
	switch {
	case f.op.To != f.op.Path && f.op.To.Under(f.op.Path) && n.mode.IsDir():
		return vfs.Result{}, vfs.Invalid.With("into itself")
	case err != nil:
		return vfs.Result{}, err
	case f.op.To.IsRoot():
		return vfs.Result{}, errMountPoint
	case s.id == n.id:
		return vfs.Result{Version: n.version, File: n.id}, nil
	}
	if err := f.guard(f.op.To); err != nil {
		return vfs.Result{}, err
	}
	if s.id != 0 {
		if err := f.replace(n, must(f.tx, s.id)); err != nil {
			return vfs.Result{}, err
		}
	} else if f.room(&s) != nil {
		return vfs.Result{}, vfs.NotFound
	}
	f.tx.Delete(nameKey(n.parent, n.name))
	f.changeDir(n.parent)
	if s.parent != n.parent {
		f.changeDir(s.parent)
	}
	// The version changes, so that no path ever shows two files under one
	// version; the time does not, since the content is the same.
	n.parent, n.name, n.version = s.parent, s.name, f.tx.Seq()
	f.put(n)
	f.link(n)
	return vfs.Result{Version: n.version, File: n.id}, nil
}

// replace frees old to make room for n.
func (f *fold) replace(n, old node) error {
	switch {
	case n.mode.IsDir() && !old.mode.IsDir():
		return vfs.NotDirectory
	case !n.mode.IsDir() && old.mode.IsDir():
		return vfs.IsDirectory
	case old.mode.IsDir() && !f.empty(old):
		return vfs.NotEmpty
	}
	f.free(old)
	return nil
}
