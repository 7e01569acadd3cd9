package tree

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// rootID is the id of the top directory.
const rootID = 1

// Prefixes of the key space.
const (
	inodeKey   = 'i'
	entryKey   = 'e'
	contentKey = 'c'
	orphanKey  = 'o'
	counterKey = 'n'
)

// node is one inode. Only rows are kept; a node is a copy of one.
type node struct {
	id      uint64
	mode    vfs.Mode
	mtime   int64 // nanoseconds since 1970
	version uint64
	size    int64
	parent  uint64 // 0: the root, or detached
	content uint64 // id of its extents
	name    string
	target  string
}

// nodeTag opens the row of an inode; another form gets another tag.
const nodeTag = 1

func idKey(space byte, id uint64) []byte {
	return appendKey(make([]byte, 0, 1+8), space, id)
}

func nameKey(parent uint64, name string) []byte {
	return append(appendKey(make([]byte, 0, 1+8+len(name)), entryKey, parent), name...)
}

func appendKey(b []byte, space byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, space), id)
}

func (n node) encode() []byte {
	b := make([]byte, 0, 48+len(n.name)+len(n.target))
	b = append(b, nodeTag)
	b = binary.AppendUvarint(b, uint64(n.mode))
	b = binary.AppendVarint(b, n.mtime)
	for _, u := range [...]uint64{n.version, uint64(n.size), n.parent, n.content} {
		b = binary.AppendUvarint(b, u)
	}
	for _, s := range [...]string{n.name, n.target} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// row reads the fields of a row in turn; ok turns false at the first bad one.
type row struct {
	b  []byte
	ok bool
}

func (r *row) uint() uint64 {
	u, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.ok = nil, false
		return 0
	}
	r.b = r.b[n:]
	return u
}

func (r *row) int() int64 {
	i, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.ok = nil, false
		return 0
	}
	r.b = r.b[n:]
	return i
}

func (r *row) text() string {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.b, r.ok = nil, false
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// damaged ends the node: what the store holds was not written by any version.
func damaged(what string) {
	panic(vfs.StoreFault{Err: errors.New("tree: damaged " + what)})
}

func decode(id uint64, b []byte) node {
	if len(b) == 0 || b[0] != nodeTag {
		damaged("inode")
	}
	r := row{b[1:], true}
	n := node{id: id, mode: vfs.Mode(r.uint()), mtime: r.int(), version: r.uint(),
		size: int64(r.uint()), parent: r.uint(), content: r.uint(), name: r.text(), target: r.text()}
	if !r.ok || len(r.b) != 0 {
		damaged("inode")
	}
	return n
}

// load returns the inode id, false if there is none.
func load(v vfs.View, id uint64) (node, bool) {
	b, ok := v.Get(idKey(inodeKey, id))
	if !ok {
		return node{}, false
	}
	return decode(id, b), true
}

// must returns an inode that an entry names.
func must(v vfs.View, id uint64) node {
	n, ok := load(v, id)
	if !ok {
		damaged("entry")
	}
	return n
}

// kind is what an entry names, so that walking a path reads no inodes.
type kind byte

const (
	fileKind kind = iota + 1
	dirKind
	linkKind
)

func (n node) kind() kind {
	switch {
	case n.mode.IsDir():
		return dirKind
	case n.mode.IsLink():
		return linkKind
	}
	return fileKind
}

func (n node) entry() []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+1), n.id), byte(n.kind()))
}

func decodeEntry(b []byte) (id uint64, k kind) {
	if len(b) != 9 {
		damaged("entry")
	}
	return binary.BigEndian.Uint64(b), kind(b[8])
}

func (n node) extents() []byte { return idKey(contentKey, n.content) }

func (n node) info(pluginType, role string) vfs.Info {
	return vfs.Info{
		Name: n.name, Size: n.size, Mode: n.mode, ModTime: time.Unix(0, n.mtime).UTC(),
		ID: n.id, Version: n.version, Target: n.target,
		Meta: vfs.Meta{Name: pluginType, Type: role},
	}
}
