package content

import (
	"bytes"
	"math"

	"github.com/pfs-project/pfs/vfs"
)

// Write puts data, or the slices of chunks refs, at off into the file whose
// rows have the prefix key and whose length is size bytes. A gap between size
// and off becomes a hole. It returns the new size; [vfs.Invalid] for a
// negative off or a malformed ref, [vfs.TooLarge] beyond [vfs.MaxSize]; then
// nothing was changed. Writing nothing changes nothing.
func Write(tx vfs.Tx, key []byte, size, off int64, data []byte, refs []vfs.ChunkRef) (int64, error) {
	n, err := length(data, refs)
	switch {
	case err != nil:
		return size, err
	case off < 0:
		return size, vfs.Invalid.With("negative offset")
	case off > vfs.MaxSize || n > vfs.MaxSize-off:
		return size, vfs.TooLarge
	case n == 0:
		return size, nil
	}
	if off > size {
		grow(tx, key, size, off)
	}
	var room [1]extent // most writes are one
	splice(tx, key, max(size, off), off, off+n, pieces(room[:0], off, data, refs))
	return max(size, off+n), nil
}

// Truncate makes the file to bytes long; what it grows by is one hole.
// [vfs.Invalid] for a negative to, [vfs.TooLarge] beyond [vfs.MaxSize].
func Truncate(tx vfs.Tx, key []byte, size, to int64) error {
	switch {
	case to < 0:
		return vfs.Invalid.With("negative size")
	case to > vfs.MaxSize:
		return vfs.TooLarge
	case to > size:
		grow(tx, key, size, to)
	case to < size:
		splice(tx, key, size, to, size, nil)
	}
	return nil
}

// Remove deletes at most limit rows of the file, of size bytes or -1 if that is
// not known, and counts their chunks out; done says that none is left. Until
// then the file must not be read.
func Remove(tx vfs.Tx, key []byte, size int64, limit int) (done bool) {
	if size == 0 {
		return true
	}
	if e, ok := only(tx, key, size); ok && limit > 0 {
		drop(tx, key, e)
		return true
	}
	var rows []extent
	done = true
	for k, v := range tx.Scan(key, nil) {
		if len(rows) == limit {
			done = false
			break
		}
		e := decode(rowEnd(key, k), v)
		e.data = nil
		rows = append(rows, e)
	}
	for _, e := range rows {
		drop(tx, key, e)
	}
	return done
}

// Forget deletes the rows that end at or before `before`, at most limit of them,
// and counts their chunks out; done says that none is left. What was before must
// not be read any more.
func Forget(tx vfs.Tx, key []byte, before int64, limit int) (done bool) {
	var rows []extent
	done = true
	for k, v := range tx.Scan(key, nil) {
		end := rowEnd(key, k)
		if end > before {
			break
		}
		if len(rows) == limit {
			done = false
			break
		}
		e := decode(end, v)
		e.data = nil
		rows = append(rows, e)
	}
	for _, e := range rows {
		drop(tx, key, e)
	}
	return done
}

// Rows returns how many rows the file has, counting no further than limit.
func Rows(v vfs.View, key []byte, limit int) (n int) {
	for range v.Scan(key, nil) {
		if n == limit {
			break
		}
		n++
	}
	return n
}

// length adds up what is to be written and checks the refs.
func length(data []byte, refs []vfs.ChunkRef) (int64, error) {
	if len(data) > 0 && len(refs) > 0 {
		return 0, vfs.Invalid.With("both bytes and chunks")
	}
	n := int64(len(data))
	for _, r := range refs {
		if uint64(r.Off)+uint64(r.Len) > math.MaxUint32 {
			return 0, vfs.Invalid.With("malformed chunk reference")
		}
		n += int64(r.Len)
	}
	return n, nil
}

// pieces appends data or refs to out, as extents that start at off.
func pieces(out []extent, off int64, data []byte, refs []vfs.ChunkRef) []extent {
	for len(data) > 0 {
		n := min(len(data), vfs.MaxInline)
		out = append(out, extent{kind: inline, start: off, end: off + int64(n), data: data[:n]})
		data, off = data[n:], off+int64(n)
	}
	for _, r := range refs {
		if r.Len == 0 {
			continue
		}
		e := extent{kind: chunk, start: off, end: off + int64(r.Len), ref: r}
		if r.Hash == ([32]byte{}) {
			e.kind, e.ref = hole, vfs.ChunkRef{}
		}
		out = append(out, e)
		off = e.end
	}
	return out
}

func grow(tx vfs.Tx, key []byte, size, to int64) {
	splice(tx, key, size, size, to, []extent{{kind: hole, start: size, end: to}})
}

// splice replaces the bytes [from, to) of a file of size bytes by fresh, which
// tiles them or, at the end of the file, is empty.
func splice(tx vfs.Tx, key []byte, size, from, to int64, fresh []extent) {
	// New chunks are counted in first, so that one that is both dropped and
	// kept never looks unused.
	for _, e := range fresh {
		retain(tx, e)
	}
	var head, tail extent // what stays of the extents at both edges
	for _, e := range overlap(tx, key, size, from, to) {
		left, right := e.start < from, e.end > to
		if left {
			head = e.cut(e.start, from)
		}
		if right {
			tail = e.cut(to, e.end)
		}
		switch {
		case left && right:
			retain(tx, e)
			tx.Delete(rowKey(key, e.end))
		case left || right:
			tx.Delete(rowKey(key, e.end))
		default:
			drop(tx, key, e)
		}
	}
	if len(fresh) > 0 {
		fresh[0], head = joinLeft(tx, key, head, fresh[0])
		last := len(fresh) - 1
		fresh[last], tail = joinRight(tx, key, size, fresh[last], tail)
	}
	put(tx, key, head)
	put(tx, key, tail)
	for _, e := range fresh {
		put(tx, key, e)
	}
}

// put writes the row of e, if there is one.
func put(tx vfs.Tx, key []byte, e extent) {
	if e.kind != 0 {
		tx.Put(rowKey(key, e.end), e.encode())
	}
}

// joinLeft joins e to head or, when nothing was cut there, to the row before
// it. It returns e and what is left of head.
func joinLeft(tx vfs.Tx, key []byte, head, e extent) (joined, rest extent) {
	if head.kind != 0 {
		if j, ok := join(head, e); ok {
			return j, extent{}
		}
		return e, head
	}
	if e.kind == chunk || e.start == 0 {
		return e, head
	}
	k := rowKey(key, e.start)
	if v, ok := tx.Get(k); ok {
		if j, ok := join(decode(e.start, v), e); ok {
			tx.Delete(k)
			return j, extent{}
		}
	}
	return e, extent{}
}

// joinRight is joinLeft for the row behind e.
func joinRight(tx vfs.Tx, key []byte, size int64, e, tail extent) (joined, rest extent) {
	if tail.kind != 0 {
		if j, ok := join(e, tail); ok {
			return j, extent{}
		}
		return e, tail
	}
	if e.kind == chunk {
		return e, tail
	}
	for _, next := range overlap(tx, key, size, e.end, e.end+1) {
		if j, ok := join(e, next); ok {
			tx.Delete(rowKey(key, next.end))
			return j, extent{}
		}
	}
	return e, tail
}

// overlap returns the extents of a file of size bytes that share bytes with
// [from, to), in order. Only those that reach beyond it, or begin it, carry
// their inline bytes.
func overlap(v vfs.View, key []byte, size, from, to int64) []extent {
	if from >= size {
		return nil
	}
	if e, ok := only(v, key, size); ok {
		e.data = bytes.Clone(e.data)
		return []extent{e}
	}
	var out []extent
	for k, row := range v.Scan(key, rowKey(key, from+1)) {
		e := decode(rowEnd(key, k), row)
		if e.start >= to {
			break
		}
		if e.start < from || e.end > to || e.start == from {
			e.data = bytes.Clone(e.data)
		} else {
			e.data = nil
		}
		out = append(out, e)
	}
	return out
}

func retain(tx vfs.Tx, e extent) {
	if e.kind == chunk {
		tx.Retain(e.ref)
	}
}

func drop(tx vfs.Tx, key []byte, e extent) {
	if e.kind == chunk {
		tx.Release(e.ref)
	}
	tx.Delete(rowKey(key, e.end))
}
