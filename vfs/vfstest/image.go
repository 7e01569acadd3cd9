package vfstest

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"sort"

	"github.com/pfs-project/pfs/vfs"
)

// Pair is one key with its value.
type Pair struct{ Key, Value []byte }

// image is pairs in order of their keys. It is never changed, so that any
// number of readers may keep it; a commit makes a new one.
type image []Pair

func (m image) search(key []byte) (int, bool) {
	return slices.BinarySearchFunc(m, key, func(p Pair, k []byte) int { return bytes.Compare(p.Key, k) })
}

func (m image) Get(key []byte) ([]byte, bool) {
	if i, ok := m.search(key); ok {
		return m[i].Value, true
	}
	return nil, false
}

func (m image) Scan(prefix, from []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		start := prefix
		if bytes.Compare(from, prefix) > 0 {
			start = from
		}
		i, _ := m.search(start)
		for ; i < len(m) && bytes.HasPrefix(m[i].Key, prefix); i++ {
			if !yield(m[i].Key, m[i].Value) {
				return
			}
		}
	}
}

// changes collects what an Overlay hands out.
type changes struct {
	ranges []Pair // Key: from, Value: to
	keys   []Pair // in order; a nil Value is a deletion
}

func (c *changes) Put(key, value []byte) {
	c.keys = append(c.keys, Pair{bytes.Clone(key), append([]byte{}, value...)})
}
func (c *changes) Delete(key []byte)           { c.keys = append(c.keys, Pair{bytes.Clone(key), nil}) }
func (c *changes) DeleteRange(from, to []byte) { c.ranges = append(c.ranges, Pair{from, to}) }

func (c *changes) covered(key []byte) bool {
	return slices.ContainsFunc(c.ranges, func(r Pair) bool {
		return bytes.Compare(key, r.Key) >= 0 && bytes.Compare(key, r.Value) < 0
	})
}

// with returns m with the changes of o.
func (m image) with(o *vfs.Overlay) image {
	if o.Len() == 0 {
		return m
	}
	var c changes
	o.Flush(&c)
	out := make(image, 0, len(m)+len(c.keys))
	keep := func(old image) {
		if len(c.ranges) == 0 {
			out = append(out, old...)
			return
		}
		for _, p := range old {
			if !c.covered(p.Key) {
				out = append(out, p)
			}
		}
	}
	for _, p := range c.keys {
		n, found := m.search(p.Key)
		keep(m[:n])
		if m = m[n:]; found {
			m = m[1:]
		}
		if p.Value != nil {
			out = append(out, p)
		}
	}
	keep(m)
	return out
}

// strict is a View that makes the limits of its contract felt: what Scan
// yields is overwritten at the next step.
type strict struct{ vfs.View }

func (s strict) Scan(prefix, from []byte) iter.Seq2[[]byte, []byte] {
	in := s.View.Scan(prefix, from)
	return func(yield func(k, v []byte) bool) {
		var key, value []byte
		for k, v := range in {
			key, value = append(key[:0], k...), append(value[:0], v...)
			more := yield(key, value)
			spoil(key)
			spoil(value)
			if !more {
				return
			}
		}
	}
}

func spoil(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}

// sorted returns the keys of m in order.
func sorted[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
	return keys
}
