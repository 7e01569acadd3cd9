package tree

import (
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/content"
)

// target returns the file that the Op means, by id or by path. s is its place
// when there is none and the verb may make one.
func (f *fold) target() (n node, s spot, err error) {
	p := f.op.Path
	if f.op.File != 0 {
		var ok bool
		if p, ok = f.PathOf(f.tx, f.op.File); !ok {
			return node{}, spot{}, vfs.NotFound
		}
		s.id = f.op.File
	} else if s, err = walk(f.tx, p); err != nil || s.id == 0 {
		return node{}, s, err
	}
	n = must(f.tx, s.id)
	switch attr := f.op.Verb == vfs.Chmod || f.op.Verb == vfs.Touch; {
	case n.mode.IsLink() && f.op.File != 0:
		return node{}, s, vfs.Invalid.With("is a symbolic link")
	case n.mode.IsLink():
		return node{}, s, &vfs.LinkError{At: p, Target: n.target, Rest: vfs.Root}
	case n.mode.IsDir() && !attr:
		return node{}, s, vfs.IsDirectory
	}
	return n, s, f.guard(p)
}

// found is target for what must be there.
func (f *fold) found() (node, error) {
	n, _, err := f.target()
	if err == nil && n.id == 0 {
		err = vfs.NotFound
	}
	return n, err
}

// makeFile puts an empty file into the free spot s.
func (f *fold) makeFile(s spot) (node, error) {
	if err := f.guard(f.op.Path); err != nil {
		return node{}, err
	}
	if err := f.room(&s); err != nil {
		return node{}, err
	}
	return f.make(s, f.perm(FileMode)), nil
}

// room makes the directories above s if the filesystem does that, and answers
// errNoParent if it does not.
func (f *fold) room(s *spot) error {
	if len(s.below) > 0 && !f.o.Parents {
		return errNoParent
	}
	f.parents(s)
	return nil
}

func (f *fold) write() (vfs.Result, error) {
	if f.op.Flag&vfs.FlagExclusive != 0 && f.op.File == 0 {
		// A link that is in the way counts as a file, wherever it points.
		if s, err := walk(f.tx, f.op.Path); err == nil && s.kind == linkKind {
			return vfs.Result{}, vfs.Exists.With("file")
		}
	}
	n, s, err := f.target()
	switch {
	case err != nil:
	case n.id == 0 && f.op.Flag&vfs.FlagCreate == 0:
		if err = vfs.NotFound; len(s.below) > 0 {
			err = errNoParent
		}
	case n.id == 0:
		n, err = f.makeFile(s)
	case f.op.Flag&vfs.FlagExclusive != 0:
		err = vfs.Exists.With("file")
	}
	if err != nil {
		return vfs.Result{}, err
	}
	if f.op.Flag&vfs.FlagTruncate != 0 {
		f.clear(&n)
	}
	off := f.op.Off
	if f.op.Appends() {
		off = n.size
	}
	if err := f.splice(&n, off, f.op.Data, f.op.Refs); err != nil {
		return vfs.Result{}, err
	}
	return vfs.Result{N: f.op.Size(), Version: n.version, File: n.id}, nil
}

// splice puts content into n and writes n.
func (f *fold) splice(n *node, off int64, data []byte, refs []vfs.ChunkRef) error {
	size, err := content.Write(f.tx, n.extents(), n.size, off, data, refs)
	if err != nil {
		return err
	}
	n.size = size
	f.change(n)
	return nil
}

// clear drops the content of n. Much of it is left to Reap, and n goes on
// under another content id.
func (f *fold) clear(n *node) {
	if !content.Remove(f.tx, n.extents(), n.size, reapRows) {
		f.orphan(n.content, orphanContent)
		n.content = f.newID()
	}
	n.size = 0
}

func (f *fold) truncate() (vfs.Result, error) {
	n, err := f.found()
	if err != nil {
		return vfs.Result{}, err
	}
	if f.op.Off == 0 {
		f.clear(&n)
	} else if err := content.Truncate(f.tx, n.extents(), n.size, f.op.Off); err != nil {
		return vfs.Result{}, err
	}
	n.size = f.op.Off
	return f.done(&n)
}

func (f *fold) chmod() (vfs.Result, error) {
	n, err := f.found()
	if err != nil {
		return vfs.Result{}, err
	}
	n.mode = n.mode&^vfs.ModePerm | f.op.Mode.Perm()
	n.version = f.tx.Seq()
	f.put(n)
	return vfs.Result{Version: n.version, File: n.id}, nil
}

func (f *fold) touch() (vfs.Result, error) {
	n, s, err := f.target()
	if err == nil && n.id == 0 {
		if len(s.below) > 0 && !f.o.Parents {
			return vfs.Result{}, vfs.NotFound
		}
		n, err = f.makeFile(s)
	}
	if err != nil {
		return vfs.Result{}, err
	}
	return f.done(&n)
}

// done writes the changed n and answers for it.
func (f *fold) done(n *node) (vfs.Result, error) {
	f.change(n)
	return vfs.Result{Version: n.version, File: n.id}, nil
}
