package vfs

import (
	"bytes"
	"iter"
	"slices"
	"sort"
)

// Overlay is a set of changes over a View: reads see the changes, the View
// stays as it was. The state machine folds each Event into an Overlay of its
// own, so that a failed one is dropped whole. Not safe for concurrent use.
type Overlay struct {
	base    View
	entries map[string]change
	keys    []string // of entries, sorted when clean
	clean   bool
	ranges  []keyRange // deleted below the entries, in order of arrival
}

type change struct {
	value   []byte
	deleted bool
}

type keyRange struct{ from, to string }

// NewOverlay returns an empty Overlay over base.
func NewOverlay(base View) *Overlay {
	return &Overlay{base: base, entries: map[string]change{}, keys: make([]string, 0, usualChanges), clean: true}
}

// usualChanges is how many keys most Events change at most.
const usualChanges = 8

// Get returns the value of key as changed.
func (o *Overlay) Get(key []byte) ([]byte, bool) {
	if c, ok := o.entries[string(key)]; ok {
		return c.value, !c.deleted
	}
	if o.covered(key) {
		return nil, false
	}
	return o.base.Get(key)
}

func (o *Overlay) covered(key []byte) bool {
	for _, r := range o.ranges {
		if string(key) >= r.from && string(key) < r.to {
			return true
		}
	}
	return false
}

// Put sets key to a copy of value.
func (o *Overlay) Put(key, value []byte) {
	o.set(key, change{value: append(make([]byte, 0, len(value)), value...)})
}

// Delete removes key.
func (o *Overlay) Delete(key []byte) { o.set(key, change{deleted: true}) }

func (o *Overlay) set(key []byte, c change) {
	if _, ok := o.entries[string(key)]; ok {
		o.entries[string(key)] = c
		return
	}
	o.add(string(key), c)
}

// add is set of a key that has no entry.
func (o *Overlay) add(key string, c change) {
	o.keys = append(o.keys, key)
	o.clean = false
	o.entries[key] = c
}

// Merge adds all changes of from, after which nobody changes either's values.
func (o *Overlay) Merge(from *Overlay) {
	for _, r := range from.ranges {
		o.DeleteRange([]byte(r.from), []byte(r.to))
	}
	for _, k := range from.keys {
		if _, ok := o.entries[k]; ok {
			o.entries[k] = from.entries[k]
		} else {
			o.add(k, from.entries[k])
		}
	}
}

// DeleteRange removes the keys in [from, to).
func (o *Overlay) DeleteRange(from, to []byte) {
	lo, hi := o.span(string(from), string(to))
	for _, k := range o.keys[lo:hi] {
		delete(o.entries, k)
	}
	o.keys = slices.Delete(o.keys, lo, hi)
	o.ranges = append(o.ranges, keyRange{string(from), string(to)})
}

func (o *Overlay) span(from, to string) (lo, hi int) {
	o.sort()
	lo, hi = sort.SearchStrings(o.keys, from), sort.SearchStrings(o.keys, to)
	return lo, max(lo, hi)
}

func (o *Overlay) sort() {
	if !o.clean {
		slices.Sort(o.keys)
		o.clean = true
	}
}

// Scan merges the changes into the View's pairs. The Overlay must not be
// changed while a Scan runs over it.
func (o *Overlay) Scan(prefix, from []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		start := prefix
		if bytes.Compare(from, prefix) > 0 {
			start = from
		}
		lo, hi := o.span(string(start), string(PrefixEnd(prefix)))
		if PrefixEnd(prefix) == nil {
			hi = len(o.keys)
		}
		mine := slices.Clone(o.keys[lo:hi])
		emit := func(k string) bool {
			c := o.entries[k]
			return c.deleted || yield([]byte(k), c.value)
		}
		for k, v := range o.base.Scan(prefix, from) {
			for len(mine) > 0 && mine[0] < string(k) {
				if !emit(mine[0]) {
					return
				}
				mine = mine[1:]
			}
			if len(mine) > 0 && mine[0] == string(k) || o.covered(k) {
				continue
			}
			if !yield(k, v) {
				return
			}
		}
		for _, k := range mine {
			if !emit(k) {
				return
			}
		}
	}
}

// Sink takes the changes of an Overlay. It copies what it keeps.
type Sink interface {
	Put(key, value []byte)
	Delete(key []byte)
	DeleteRange(from, to []byte)
}

// Flush hands all changes to sink: first the ranges, then the keys in order.
func (o *Overlay) Flush(sink Sink) {
	for _, r := range o.ranges {
		sink.DeleteRange([]byte(r.from), []byte(r.to))
	}
	o.sort()
	var key []byte
	for _, k := range o.keys {
		key = append(key[:0], k...)
		if c := o.entries[k]; c.deleted {
			sink.Delete(key)
		} else {
			sink.Put(key, c.value)
		}
	}
}

// Changes reports whether key is among the changes.
func (o *Overlay) Changes(key []byte) bool {
	_, ok := o.entries[string(key)]
	return ok || o.covered(key)
}

// Keys returns the keys that were changed one by one, in any order. The caller does
// not keep or change them.
func (o *Overlay) Keys() []string { return o.keys }

// Ranges goes through the ranges that were deleted, each [from, to). They may overlap,
// and have keys in them that were changed later.
func (o *Overlay) Ranges() iter.Seq2[string, string] {
	return func(yield func(from, to string) bool) {
		for _, r := range o.ranges {
			if !yield(r.from, r.to) {
				return
			}
		}
	}
}

// Len returns how many keys and ranges were changed.
func (o *Overlay) Len() int { return len(o.entries) + len(o.ranges) }

// Reset drops all changes.
func (o *Overlay) Reset() {
	clear(o.entries)
	o.keys, o.ranges, o.clean = o.keys[:0], nil, true
}
