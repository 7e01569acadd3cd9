package tree

import (
	"encoding/binary"

	"github.com/pfs-project/pfs/vfs"
)

// AllVerbs are the verbs that a plugin on this filesystem may offer.
const AllVerbs vfs.VerbSet = 1<<vfs.Create | 1<<vfs.Mkdir | 1<<vfs.Write | 1<<vfs.Truncate |
	1<<vfs.Chmod | 1<<vfs.Touch | 1<<vfs.Remove | 1<<vfs.RemoveAll | 1<<vfs.Rename | 1<<vfs.Symlink

// fold is one Op on its way into a Tx.
type fold struct {
	*FS
	tx vfs.Tx
	op vfs.Op
}

// verbs holds what each verb does, by number.
var verbs = [...]func(*fold) (vfs.Result, error){
	vfs.Mount:     (*fold).mount,
	vfs.Reap:      (*fold).reap,
	vfs.Create:    (*fold).create,
	vfs.Mkdir:     (*fold).mkdir,
	vfs.Write:     (*fold).write,
	vfs.Truncate:  (*fold).truncate,
	vfs.Chmod:     (*fold).chmod,
	vfs.Touch:     (*fold).touch,
	vfs.Remove:    (*fold).remove,
	vfs.RemoveAll: (*fold).removeAll,
	vfs.Rename:    (*fold).rename,
	vfs.Symlink:   (*fold).symlink,
}

// byName holds the verbs that name a file and cannot go by its id.
var byName = vfs.Verbs(vfs.Create, vfs.Mkdir, vfs.Remove, vfs.RemoveAll, vfs.Rename, vfs.Symlink)

// Apply folds one Op in. Mount makes the root and what a mount starts with,
// unless the state is there already; Reap frees a bounded part of what was
// removed; the other verbs are as [vfs.Verb] says.
func (t *FS) Apply(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	internal := op.Verb == vfs.Mount || op.Verb == vfs.Reap
	if int(op.Verb) >= len(verbs) || verbs[op.Verb] == nil || !internal && !t.o.Verbs.Has(op.Verb) {
		return vfs.Result{}, vfs.Unsupported
	}
	if op.File != 0 && byName.Has(op.Verb) {
		return vfs.Result{}, vfs.Invalid.With("names are changed by name, not by id")
	}
	return verbs[op.Verb](&fold{t, tx, op})
}

func (f *fold) mount() (vfs.Result, error) {
	if _, ok := load(f.tx, rootID); ok {
		return vfs.Result{}, nil
	}
	f.setLastID(rootID)
	f.put(node{id: rootID, mode: vfs.ModeDir | DirMode, name: "/",
		mtime: f.tx.Now().UnixNano(), version: f.tx.Seq()})
	if f.o.Readme && len(f.op.Data) > 0 {
		if err := f.start(vfs.Root.Child(Readme), f.op.Data, 0o444); err != nil {
			return vfs.Result{}, err
		}
	}
	for _, p := range f.o.Dirs {
		s, err := walk(f.tx, p)
		if err != nil {
			return vfs.Result{}, err
		}
		f.parents(&s)
		if s.id == 0 {
			f.make(s, vfs.ModeDir|DirMode)
		}
	}
	for _, file := range f.o.Files {
		if err := f.start(file.Path, file.Data, FileMode); err != nil {
			return vfs.Result{}, err
		}
	}
	return vfs.Result{}, nil
}

// start makes a file that the mount starts with.
func (f *fold) start(p vfs.Path, data []byte, mode vfs.Mode) error {
	s, err := walk(f.tx, p)
	if err != nil {
		return err
	}
	f.parents(&s)
	n := f.make(s, mode)
	return f.splice(&n, 0, data, nil)
}

// put writes an inode.
func (f *fold) put(n node) { f.tx.Put(idKey(inodeKey, n.id), n.encode()) }

// change marks n as changed by this Event and writes it.
func (f *fold) change(n *node) {
	n.mtime, n.version = f.tx.Now().UnixNano(), f.tx.Seq()
	f.put(*n)
}

// changeDir marks the directory id as changed.
func (f *fold) changeDir(id uint64) {
	n := must(f.tx, id)
	f.change(&n)
}

// link enters n into the directory it names as its parent.
func (f *fold) link(n node) { f.tx.Put(nameKey(n.parent, n.name), n.entry()) }

// make puts a new file, directory or link into the free spot s.
func (f *fold) make(s spot, mode vfs.Mode) node {
	id := f.newID()
	n := node{id: id, mode: mode, parent: s.parent, name: s.name, content: id}
	f.change(&n)
	f.link(n)
	f.changeDir(s.parent)
	return n
}

// parents makes the missing directories above s.
func (f *fold) parents(s *spot) {
	for len(s.below) > 0 {
		d := f.make(spot{parent: s.parent, name: s.name}, vfs.ModeDir|DirMode)
		s.parent, s.name, s.below = d.id, s.below[0], s.below[1:]
	}
}

// newID gives an id that was never given before.
func (f *fold) newID() uint64 {
	id := f.lastID() + 1
	f.setLastID(id)
	return id
}

func (f *fold) lastID() uint64 {
	b, ok := f.tx.Get([]byte{counterKey})
	if !ok || len(b) != 8 {
		damaged("counter")
	}
	return binary.BigEndian.Uint64(b)
}

func (f *fold) setLastID(id uint64) {
	f.tx.Put([]byte{counterKey}, binary.BigEndian.AppendUint64(nil, id))
}

// perm returns the mode that the Op asks for, or def.
func (f *fold) perm(def vfs.Mode) vfs.Mode {
	if m := f.op.Mode.Perm(); m != 0 {
		return m
	}
	return def
}
