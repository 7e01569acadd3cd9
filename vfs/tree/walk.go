package tree

import (
	"slices"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// spot is a place in the tree: a directory and a name in it, taken or not.
type spot struct {
	parent uint64   // 0 for the root
	name   string   // "/" for the root
	id     uint64   // 0: nothing has the name
	kind   kind     // of what has the name
	below  []string // elements behind the name; only when nothing has it
}

// errNoParent says that the directory of a name is missing.
var errNoParent = vfs.NotFound.With("parent directory")

// walk finds p. It answers a [*vfs.LinkError] for a link before the last
// element and NotDirectory for a file there. A link at the end is the spot.
func walk(v vfs.View, p vfs.Path) (spot, error) {
	s := spot{name: "/", id: rootID, kind: dirKind}
	if _, ok := v.Get(idKey(inodeKey, rootID)); !ok {
		return spot{}, vfs.NotFound
	}
	elems := p.Elems()
	for i, name := range elems {
		s = spot{parent: s.id, name: name}
		b, ok := v.Get(nameKey(s.parent, name))
		if !ok {
			s.below = elems[i+1:]
			return s, nil
		}
		s.id, s.kind = decodeEntry(b)
		switch {
		case i == len(elems)-1 || s.kind == dirKind:
		case s.kind == linkKind:
			at := vfs.Path("/" + strings.Join(elems[:i+1], "/"))
			return s, &vfs.LinkError{At: at, Target: must(v, s.id).target, Rest: p.Rel(at)}
		default:
			return s, vfs.NotDirectory
		}
	}
	return s, nil
}

// find is walk for what must be there.
func find(v vfs.View, p vfs.Path) (node, error) {
	s, err := walk(v, p)
	if err != nil {
		return node{}, err
	}
	if s.id == 0 {
		return node{}, vfs.NotFound
	}
	return must(v, s.id), nil
}

// follow is find that answers a [*vfs.LinkError] for a link at the end.
func follow(v vfs.View, p vfs.Path) (node, error) {
	n, err := find(v, p)
	if err == nil && n.mode.IsLink() {
		err = &vfs.LinkError{At: p, Target: n.target, Rest: vfs.Root}
	}
	return n, err
}

// PathOf returns the present path of the file with the id; false once it is
// gone, also when only a directory above it is.
func (t *FS) PathOf(v vfs.View, file uint64) (vfs.Path, bool) {
	var elems []string
	for id := file; id != rootID; {
		n, ok := load(v, id)
		if !ok || n.parent == 0 {
			return "", false
		}
		elems = append(elems, n.name)
		id = n.parent
	}
	slices.Reverse(elems)
	return vfs.Path("/" + strings.Join(elems, "/")), true
}
