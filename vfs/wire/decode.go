package wire

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// The fewest bytes that one of each takes: what a claimed count is held
// against before anything is allocated for it.
const (
	minEvent  = timeSize + 2
	minOp     = 13
	minRef    = 32 + 2
	minResult = 5
	minPair   = 2
)

// knownFlags are the flags of a Write that this version knows.
const knownFlags = vfs.FlagAppend | vfs.FlagCreate | vfs.FlagExclusive | vfs.FlagTruncate | vfs.FlagSync

// reader takes values off the front of b. After the first error it gives
// zeroes only.
type reader struct {
	b   []byte
	err error
}

// whole reads one value that must take up all of b behind the version byte.
func whole[T any](b []byte, read func(*reader) T) (T, error) {
	var none T
	switch {
	case len(b) == 0:
		return none, ErrCorrupt
	case b[0] != Version:
		return none, ErrVersion
	}
	r := reader{b: b[1:]}
	v := read(&r)
	if r.err == nil && len(r.b) != 0 {
		r.err = ErrCorrupt
	}
	if r.err != nil {
		return none, r.err
	}
	return v, nil
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

// take returns the next n bytes of the input itself, nil after an error.
func (r *reader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.b)) {
		r.fail(ErrCorrupt)
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

// known reads a byte that ok must know.
func (r *reader) known(ok func(byte) bool) byte {
	c := r.byte()
	if r.err == nil && !ok(c) {
		r.fail(ErrVersion)
	}
	return c
}

func (r *reader) bool() bool {
	c := r.byte()
	if c > 1 {
		r.fail(ErrCorrupt)
	}
	return c == 1
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || size > 1 && r.b[size-1] == 0 {
		r.fail(ErrCorrupt)
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) varint() int64 {
	n := r.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (r *reader) uint32() uint32 {
	n := r.uvarint()
	if n > math.MaxUint32 {
		r.fail(ErrCorrupt)
		return 0
	}
	return uint32(n)
}

func (r *reader) text() string { return string(r.take(r.uvarint())) }

func (r *reader) path() vfs.Path { return vfs.Path(r.text()) }

func (r *reader) bytes() []byte { return append([]byte(nil), r.take(r.uvarint())...) }

func (r *reader) time() time.Time {
	p := r.take(timeSize)
	if p == nil {
		return time.Time{}
	}
	n := int64(binary.BigEndian.Uint64(p))
	if n == noTime {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// count reads a number of things that take at least size bytes each.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail(ErrCorrupt)
		return 0
	}
	return int(n)
}

func list[T any](r *reader, size int, read func(*reader) T) []T {
	n := r.count(size)
	if n == 0 {
		return nil
	}
	out := make([]T, n)
	for i := range out {
		if out[i] = read(r); r.err != nil {
			return nil
		}
	}
	return out
}

func (r *reader) event() vfs.Event { return vfs.Event{Time: r.time(), Request: r.request()} }

func (r *reader) request() vfs.Request {
	q := vfs.Request{Ops: list(r, minOp, (*reader).op), Key: r.text()}
	if q.Key != "" {
		copy(q.Sum[:], r.take(uint64(len(q.Sum))))
	}
	return q
}

func (r *reader) op() vfs.Op {
	return vfs.Op{
		Verb:   vfs.Verb(r.known(func(c byte) bool { return vfs.Verb(c).Valid() })),
		Mount:  r.uvarint(),
		Path:   r.path(),
		File:   r.uvarint(),
		To:     r.path(),
		Target: r.text(),
		Off:    r.varint(),
		Mode:   vfs.Mode(r.uint32()),
		Flag:   vfs.Flag(r.known(func(c byte) bool { return vfs.Flag(c)&^knownFlags == 0 })),
		If: vfs.Cond{
			Kind:    vfs.CondKind(r.known(func(c byte) bool { return vfs.CondKind(c) <= vfs.IfExists })),
			Version: r.uvarint(),
		},
		Data: r.bytes(),
		Refs: list(r, minRef, (*reader).ref),
	}
}

func (r *reader) ref() vfs.ChunkRef {
	var c vfs.ChunkRef
	copy(c.Hash[:], r.take(uint64(len(c.Hash))))
	c.Off, c.Len = r.uint32(), r.uint32()
	return c
}

func (r *reader) result() vfs.Result {
	return vfs.Result{
		N:       r.varint(),
		Data:    r.bytes(),
		Refs:    list(r, minRef, (*reader).ref),
		Version: r.uvarint(),
		File:    r.uvarint(),
	}
}

func (r *reader) outcome() vfs.Outcome {
	return vfs.Outcome{
		Index:    r.uvarint(),
		Seq:      r.uvarint(),
		Results:  list(r, minResult, (*reader).result),
		Err:      r.error(),
		Replayed: r.bool(),
	}
}

func (r *reader) error() error {
	if !r.bool() {
		return nil
	}
	return &vfs.Error{
		Kind:    vfs.Kind(r.known(func(c byte) bool { return vfs.Kind(c).Valid() })),
		Verb:    r.text(),
		Path:    r.path(),
		Reason:  r.text(),
		Version: r.uvarint(),
	}
}

func (r *reader) info() vfs.Info {
	return vfs.Info{
		Name:    r.text(),
		Size:    r.varint(),
		Mode:    vfs.Mode(r.uint32()),
		ModTime: r.time(),
		ID:      r.uvarint(),
		Version: r.uvarint(),
		Target:  r.text(),
		Meta:    vfs.Meta{Name: r.text(), Type: r.text(), Content: r.pairs()},
	}
}

// pairs reads a map whose keys must rise, so that it has one form.
func (r *reader) pairs() map[string]string {
	n := r.count(minPair)
	if n == 0 {
		return nil
	}
	m := make(map[string]string)
	last := ""
	for i := range n {
		k, v := r.text(), r.text()
		if i > 0 && k <= last {
			r.fail(ErrCorrupt)
		}
		if r.err != nil {
			return nil
		}
		m[k], last = v, k
	}
	return m
}
