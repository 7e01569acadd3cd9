package vfs

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

// Mounted is one mount as the Table knows it. It is not changed after it has
// been given to [NewTable].
type Mounted struct {
	ID     uint64
	Path   Path
	Type   string
	Place  Placement
	FS     FileSystem // a Folder or a Device; nil while it is down on this node
	Err    error      // why it is down
	Verbs  VerbSet
	Config Config
	Node   string // Pinned: the node it lives on
	Roams  bool   // and may live on another when that is away
	File   bool   // it is one file, not a directory
	Seq    uint64 // of the Event that mounted it
	When   time.Time
}

// Table is all mounts as one tree: it routes names to filesystems, follows
// links, merges mount points into listings, checks conditions and adds verb
// and path to errors. It is immutable and safe for concurrent use; a changed
// set of mounts is a new Table.
//
// Views given to a Table are of the whole state. A Folder sees its own part
// of it, a Device sees none.
type Table struct {
	mounts []*entry // by path
	byPath map[Path]*entry
	byID   map[uint64]*entry
	dirs   map[Path]*above
}

var _ FileSystem = (*Table)(nil)

// entry is a mount with what the Table works out once.
type entry struct {
	Mounted
	prefix []byte // of its state
	folder Folder // FS, if it is one
	opener Opener // FS, if it is one
	keeps  bool   // the Table keeps its links, since its plugin cannot
}

// above is a directory that has mounts somewhere below it.
type above struct {
	names []string // of the children that are or lead to mounts; sorted
	when  time.Time
}

// place is where a path leads: a mount and a path in it. e is nil for names
// outside all mounts.
type place struct {
	e    *entry
	rel  Path // relative to the mount
	path Path // global
}

// NewTable returns the Table of mounts. Of two at one path the later wins.
func NewTable(mounts []Mounted) *Table {
	t := &Table{
		byPath: make(map[Path]*entry, len(mounts)),
		byID:   make(map[uint64]*entry, len(mounts)),
		dirs:   map[Path]*above{Root: {}},
	}
	for _, m := range mounts {
		e := &entry{Mounted: m, prefix: MountPrefix(m.ID), keeps: !m.Verbs.Has(Symlink)}
		e.folder, _ = m.FS.(Folder)
		e.opener = OpenerOf(m.FS)
		if old := t.byPath[m.Path]; old != nil {
			t.mounts = slices.DeleteFunc(t.mounts, func(o *entry) bool { return o == old })
			delete(t.byID, old.ID)
		}
		t.byPath[m.Path], t.byID[m.ID] = e, e
		t.mounts = append(t.mounts, e)
	}
	slices.SortFunc(t.mounts, func(a, b *entry) int { return cmp.Compare(a.Path, b.Path) })
	for _, e := range t.mounts {
		for p := e.Path; !p.IsRoot(); p = p.Dir() {
			t.lead(p, e.When)
		}
	}
	return t
}

// lead records that the way to a mount goes through p.
func (t *Table) lead(p Path, when time.Time) {
	d := t.dirs[p.Dir()]
	if d == nil {
		d = &above{}
		t.dirs[p.Dir()] = d
	}
	if when.After(d.when) {
		d.when = when
	}
	if i := sort.SearchStrings(d.names, p.Base()); i == len(d.names) || d.names[i] != p.Base() {
		d.names = slices.Insert(d.names, i, p.Base())
	}
}

// Mounts returns the mounts by path.
func (t *Table) Mounts() []Mounted {
	out := make([]Mounted, len(t.mounts))
	for i, e := range t.mounts {
		out[i] = e.Mounted
	}
	return out
}

// Mount returns the mount with an id.
func (t *Table) Mount(id uint64) (Mounted, bool) {
	if e := t.byID[id]; e != nil {
		return e.Mounted, true
	}
	return Mounted{}, false
}

// Route returns the mount whose path is the longest that p is under, and p
// relative to it. ok is false outside all mounts. Links are not followed.
func (t *Table) Route(p Path) (m Mounted, rel Path, ok bool) {
	at := t.place(p)
	if at.e == nil {
		return Mounted{}, "", false
	}
	return at.e.Mounted, at.rel, true
}

func (t *Table) place(p Path) place {
	if p == "" {
		p = Root
	}
	for q := p; ; q = q.Dir() {
		if e := t.byPath[q]; e != nil {
			return place{e, p.Rel(q), p}
		}
		if q.IsRoot() {
			return place{path: p}
		}
	}
}

// PathOf returns the present global path of a file that has an id; false once
// the file or its mount is gone, or if its filesystem has no ids.
func (t *Table) PathOf(v View, mount, file uint64) (Path, bool) {
	e := t.byID[mount]
	if e == nil {
		return "", false
	}
	f, ok := e.FS.(Finder)
	if !ok {
		return "", false
	}
	rel, ok := f.PathOf(e.view(v), file)
	if !ok {
		return "", false
	}
	return e.Path.Join(rel), true
}

// virtual returns the directory that leads to mounts at p, where p is not a
// mount itself. It hides what a mount above has at p, unless a directory.
func (t *Table) virtual(p Path) (Info, bool) {
	d, ok := t.dirs[p]
	if !ok || t.byPath[p] != nil {
		return Info{}, false
	}
	info := Info{Name: p.Base(), Mode: ModeDir | 0o755, ModTime: d.when.UTC(),
		Meta: Meta{Name: "rootfs", Type: "mount-point"}}
	if p.IsRoot() {
		info.Meta.Type = "root"
	}
	return info, true
}

// mountInfo describes the child of dir that is or leads to a mount, for listings.
func (t *Table) mountInfo(dir Path, name string) Info {
	p := dir.Child(name)
	if info, ok := t.virtual(p); ok {
		return info
	}
	e := t.byPath[p]
	info := Info{Name: name, Mode: ModeDir | 0o755, ModTime: e.When.UTC(), Meta: Meta{Name: "rootfs", Type: "mount-point"}}
	if e.File {
		info.Mode = 0o444
	}
	return info
}

// view returns what the mount may see of the whole state.
func (e *entry) view(v View) View {
	if e.Place != Replicated || v == nil {
		return nil
	}
	return Sub(v, e.prefix)
}

// down is the answer of a mount that is not up on this node.
func (e *entry) down() error {
	if e.Starts() {
		return &Error{Kind: Unavailable, Reason: e.Err.Error(), Starting: e.Path}
	}
	if e.Err != nil {
		return Unavailable.With(e.Err.Error())
	}
	return Unavailable.With("mount is not up")
}
