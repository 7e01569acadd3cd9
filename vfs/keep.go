package vfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// The Table keeps the links of mounts whose plugin cannot: a row in the system
// space for each, under the mount's id and the link's path in the mount. A row
// without a path counts them, so that one Get tells that there are none.

// linkSpace follows SystemSpace in the keys of kept links.
const linkSpace byte = 'l'

// kept is one link that the Table keeps.
type kept struct {
	target string
	seq    uint64 // of the Event that made it
	when   time.Time
}

func linkKey(mount uint64, rel Path) []byte {
	k := make([]byte, 0, 10+len(rel))
	k = binary.BigEndian.AppendUint64(append(k, SystemSpace, linkSpace), mount)
	return append(k, rel...)
}

func (k kept) encode() []byte {
	b := make([]byte, 0, 16+len(k.target))
	b = binary.BigEndian.AppendUint64(b, k.seq)
	b = binary.BigEndian.AppendUint64(b, uint64(k.when.UnixNano()))
	return append(b, k.target...)
}

func decodeKept(b []byte) kept {
	if len(b) < 16 {
		panic(StoreFault{errors.New("broken row of a symbolic link")})
	}
	return kept{
		target: string(b[16:]),
		seq:    binary.BigEndian.Uint64(b),
		when:   time.Unix(0, int64(binary.BigEndian.Uint64(b[8:]))).UTC(),
	}
}

func (k kept) info(at place) Info {
	return Info{Name: at.path.Base(), Size: int64(len(k.target)), Mode: ModeLink | 0o777,
		ModTime: k.when, Version: k.seq, Target: k.target, Meta: Meta{Name: at.e.Type, Type: "symlink"}}
}

// linkCount returns how many links are kept for the mount.
func (e *entry) linkCount(v View) uint64 {
	if !e.keeps || v == nil {
		return 0
	}
	b, ok := v.Get(linkKey(e.ID, ""))
	if !ok {
		return 0
	}
	if len(b) != 8 {
		panic(StoreFault{errors.New("broken count of symbolic links")})
	}
	return binary.BigEndian.Uint64(b)
}

func (e *entry) addLinks(tx Tx, n int) {
	if c := e.linkCount(tx) + uint64(n); c == 0 {
		tx.Delete(linkKey(e.ID, ""))
	} else {
		tx.Put(linkKey(e.ID, ""), binary.BigEndian.AppendUint64(nil, c))
	}
}

// link returns the kept link at the place.
func (at place) link(v View) (kept, bool) {
	if at.e == nil || at.rel.IsRoot() || at.e.linkCount(v) == 0 {
		return kept{}, false
	}
	b, ok := v.Get(linkKey(at.e.ID, at.rel))
	if !ok {
		return kept{}, false
	}
	return decodeKept(b), true
}

// keptLink returns the first kept link on the way to the place; one at its end
// only with final. Links that mounts hide do not count.
func (t *Table) keptLink(v View, at place, final bool) *LinkError {
	if at.e == nil || at.rel.IsRoot() || at.e.linkCount(v) == 0 {
		return nil
	}
	for i := 1; i <= len(at.rel); i++ {
		if i < len(at.rel) && at.rel[i] != '/' || i == len(at.rel) && !final {
			continue
		}
		b, ok := v.Get(linkKey(at.e.ID, at.rel[:i]))
		if !ok {
			continue
		}
		if _, hidden := t.virtual(at.path[:len(at.path)-len(at.rel)+i]); !hidden {
			return &LinkError{At: at.rel[:i], Target: decodeKept(b).target, Rest: at.rel[i:]}
		}
	}
	return nil
}

// links returns the kept links in the directory at the place, as a listing.
func (at place) links(v View, after string, limit int) []Info {
	if at.e.linkCount(v) == 0 {
		return nil
	}
	prefix := linkKey(at.e.ID, at.rel.below())
	from := append(bytes.Clone(prefix), after...)
	var out []Info
	for limit <= 0 || len(out) < limit {
		k, val, ok := first(v, prefix, from)
		if !ok {
			break
		}
		name, _, deeper := strings.Cut(string(k[len(prefix):]), "/")
		from = append(from[:len(prefix)], name...)
		if deeper {
			from = append(from, '/'+1) // past all that lies below name
			continue
		}
		from = append(from, 0)
		if name > after {
			child := place{at.e, at.rel.Child(name), at.path.Child(name)}
			out = append(out, decodeKept(val).info(child))
		}
	}
	return out
}

// below returns p with a slash at its end: what names under it start with.
func (p Path) below() Path {
	if p.IsRoot() {
		return Root
	}
	return p + "/"
}

func first(v View, prefix, from []byte) (k, val []byte, ok bool) {
	for k, val := range v.Scan(prefix, from) {
		return bytes.Clone(k), bytes.Clone(val), true
	}
	return nil, nil, false
}

// hasLinksBelow reports whether links are kept below the place.
func (at place) hasLinksBelow(v View) bool {
	if at.e.linkCount(v) == 0 {
		return false
	}
	_, _, ok := first(v, linkKey(at.e.ID, at.rel.below()), nil)
	return ok
}

// keepLink makes a link at the place.
func (at place) keepLink(tx Tx, target string) Result {
	tx.Put(linkKey(at.e.ID, at.rel), kept{target, tx.Seq(), tx.Now()}.encode())
	at.e.addLinks(tx, 1)
	return Result{Version: tx.Seq()}
}

// dropLink removes the link at the place.
func (at place) dropLink(tx Tx) {
	tx.Delete(linkKey(at.e.ID, at.rel))
	at.e.addLinks(tx, -1)
}

// dropLinksBelow removes the links below the place.
func (at place) dropLinksBelow(tx Tx) {
	if at.e.linkCount(tx) == 0 {
		return
	}
	prefix := linkKey(at.e.ID, at.rel.below())
	n := 0
	for range tx.Scan(prefix, nil) {
		n++
	}
	if n > 0 {
		tx.DeleteRange(prefix, PrefixEnd(prefix))
		at.e.addLinks(tx, -n)
	}
}

// moveLinksBelow carries the links below the place along to another.
func (at place) moveLinksBelow(tx Tx, to place) {
	if at.e.linkCount(tx) == 0 {
		return
	}
	prefix, dest := linkKey(at.e.ID, at.rel.below()), linkKey(to.e.ID, to.rel.below())
	var keys, values [][]byte
	for k, v := range tx.Scan(prefix, nil) {
		keys = append(keys, append(bytes.Clone(dest), k[len(prefix):]...))
		values = append(values, bytes.Clone(v))
	}
	if len(keys) == 0 {
		return
	}
	tx.DeleteRange(prefix, PrefixEnd(prefix))
	for i, k := range keys {
		tx.Put(k, values[i])
	}
}
