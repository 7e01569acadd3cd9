package content

import (
	"encoding/binary"
	"errors"

	"github.com/pfs-project/pfs/vfs"
)

// kind is what an extent holds, and the tag of its row.
type kind byte

const (
	inline kind = iota + 1 // the bytes themselves
	chunk                  // hash, offset and length, each integer big endian
	hole                   // length, eight bytes, big endian
)

const (
	joinLimit = 4 << 10 // neighbouring inline extents join up to this many bytes
	chunkRow  = 1 + 32 + 4 + 4
	holeRow   = 1 + 8
)

// extent is the bytes [start, end) of a file.
type extent struct {
	kind       kind
	start, end int64
	data       []byte       // inline
	ref        vfs.ChunkRef // chunk
}

func (e extent) len() int64 { return e.end - e.start }

// cut returns the part of e in [from, to), which must lie inside it.
func (e extent) cut(from, to int64) extent {
	c := e
	c.start, c.end = from, to
	switch e.kind {
	case inline:
		c.data = e.data[from-e.start : to-e.start]
	case chunk:
		c.ref.Off += uint32(from - e.start)
		c.ref.Len = uint32(to - from)
	}
	return c
}

// join returns a and the extent behind it as one, if they make one.
func join(a, b extent) (extent, bool) {
	if a.kind != b.kind || a.end != b.start {
		return extent{}, false
	}
	e := extent{kind: a.kind, start: a.start, end: b.end}
	switch {
	case a.kind == hole:
		return e, true
	case a.kind == inline && e.len() <= joinLimit:
		e.data = append(append(make([]byte, 0, e.len()), a.data...), b.data...)
		return e, true
	}
	return extent{}, false
}

// encode returns the row of e.
func (e extent) encode() []byte {
	switch e.kind {
	case chunk:
		b := append(make([]byte, 0, chunkRow), byte(chunk))
		b = append(b, e.ref.Hash[:]...)
		b = binary.BigEndian.AppendUint32(b, e.ref.Off)
		return binary.BigEndian.AppendUint32(b, e.ref.Len)
	case hole:
		return binary.BigEndian.AppendUint64([]byte{byte(hole)}, uint64(e.len()))
	}
	return append(append(make([]byte, 0, 1+len(e.data)), byte(inline)), e.data...)
}

// decode reads the row of the extent that ends at end. Its data is part of
// row. A row that no version wrote panics with a [vfs.StoreFault].
func decode(end int64, row []byte) extent {
	e := extent{end: end}
	var n int64
	switch {
	case len(row) > 1 && kind(row[0]) == inline:
		e.kind, e.data, n = inline, row[1:], int64(len(row)-1)
	case len(row) == chunkRow && kind(row[0]) == chunk:
		e.kind = chunk
		copy(e.ref.Hash[:], row[1:33])
		e.ref.Off = binary.BigEndian.Uint32(row[33:])
		e.ref.Len = binary.BigEndian.Uint32(row[37:])
		n = int64(e.ref.Len)
	case len(row) == holeRow && kind(row[0]) == hole:
		e.kind, n = hole, int64(binary.BigEndian.Uint64(row[1:]))
	}
	e.start = end - n
	if n <= 0 || e.start < 0 {
		panic(vfs.StoreFault{Err: errors.New("content: damaged extent")})
	}
	return e
}

// rowKey returns the key of the extent that ends at end.
func rowKey(key []byte, end int64) []byte {
	k := append(make([]byte, 0, len(key)+8), key...)
	return binary.BigEndian.AppendUint64(k, uint64(end))
}

// rowEnd returns where the extent in the row k ends.
func rowEnd(key, k []byte) int64 {
	if len(k) != len(key)+8 {
		panic(vfs.StoreFault{Err: errors.New("content: damaged extent key")})
	}
	return int64(binary.BigEndian.Uint64(k[len(key):]))
}
