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
	if p.IsRoot() && !rooted(v) {
		return spot{}, vfs.NotFound
	}
	for start := 1; start < len(p); {
		end := len(p)
		if i := strings.IndexByte(string(p[start:]), '/'); i >= 0 {
			end = start + i
		}
		s = spot{parent: s.id, name: string(p[start:end])}
		b, ok := v.Get(nameKey(s.parent, s.name))
		switch {
		case !ok && s.parent == rootID && !rooted(v): // what has an entry has a root
			return spot{}, vfs.NotFound
		case !ok:
			s.below = p[end:].Elems()
			return s, nil
		}
		s.id, s.kind = decodeEntry(b)
		switch {
		case end == len(p) || s.kind == dirKind:
		case s.kind == linkKind:
			at := p[:end]
			return s, &vfs.LinkError{At: at, Target: must(v, s.id).target, Rest: p.Rel(at)}
		default:
			return s, vfs.NotDirectory
		}
		start = end + 1
	}
	return s, nil
}

// rooted reports whether there is a tree at all.
func rooted(v vfs.View) bool {
	_, ok := v.Get(idKey(inodeKey, rootID))
	return ok
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

// LinkOn returns the first link on the way to p; with final also one at its end.
// It reads entries alone.
func (t *FS) LinkOn(v vfs.View, p vfs.Path, final bool) *vfs.LinkError {
	s, err := walk(v, p)
	if err == nil && final && s.kind == linkKind {
		return &vfs.LinkError{At: p, Target: must(v, s.id).target, Rest: vfs.Root}
	}
	link, _ := err.(*vfs.LinkError)
	return link
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
