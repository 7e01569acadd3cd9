package queuefs

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// maxMessage is the length in bytes that a message must stay below.
const maxMessage = 16 << 20

// message is one message as its row holds it.
type message struct {
	id       [16]byte // UUID, version 7
	ns       int64    // when it was enqueued
	priority byte
	early    bool // from before a queue counted its bytes
	refs     []vfs.ChunkRef
	data     []byte // instead of refs
}

func (m message) size() (n uint64) {
	n = uint64(len(m.data))
	for _, r := range m.refs {
		n += uint64(r.Len)
	}
	return n
}

// weight is what the message adds to the bytes of its queue.
func (m message) weight() uint64 {
	if m.early {
		return 0
	}
	return m.size()
}

func (m message) encode() []byte {
	return m.append(make([]byte, 0, 32+40*len(m.refs)+len(m.data)))
}

func (m message) append(b []byte) []byte {
	b = append(append(append(b, second), m.id[:]...), m.priority)
	b = binary.AppendVarint(b, m.ns)
	b = binary.AppendUvarint(b, uint64(len(m.refs)))
	for _, r := range m.refs {
		b = append(b, r.Hash[:]...)
		b = binary.BigEndian.AppendUint32(b, r.Off)
		b = binary.BigEndian.AppendUint32(b, r.Len)
	}
	return append(b, m.data...)
}

func decodeMessage(b []byte) message {
	const refBytes = 40
	var m message
	var r *reader
	if hasForm(b, format) {
		r = open(b)
		m = message{id: [16]byte(r.take(16)), priority: middle, early: true}
	} else {
		r = openAs(second, b)
		m = message{id: [16]byte(r.take(16)), priority: r.take(1)[0]}
	}
	m.ns = r.int()
	n := r.uint()
	if n > uint64(len(r.b)/refBytes) || m.priority > topmost {
		panic(corrupt())
	}
	for range n {
		f := r.take(refBytes)
		m.refs = append(m.refs, vfs.ChunkRef{
			Hash: [32]byte(f[:32]),
			Off:  binary.BigEndian.Uint32(f[32:]),
			Len:  binary.BigEndian.Uint32(f[36:]),
		})
	}
	m.data = slices.Clone(r.b)
	return m
}

func retain(tx vfs.Tx, m message) {
	for _, ref := range m.refs {
		tx.Retain(ref)
	}
}

func release(tx vfs.Tx, m message) {
	for _, ref := range m.refs {
		tx.Release(ref)
	}
}

func (m message) timestamp() string { return timestamp(m.ns) }

func timestamp(ns int64) string { return timeOf(ns).Format(time.RFC3339Nano) }

// uuidText renders an id as 8-4-4-4-12 hexadecimal digits.
func uuidText(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// parseUUID reads what uuidText wrote, and nothing else.
func parseUUID(s string) (id [16]byte, ok bool) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != len(id) || uuidText([16]byte(b)) != s {
		return id, false
	}
	return [16]byte(b), true
}

// newUUID makes a UUID of version 7 from the Event's time and an id of this
// mount: unique without randomness, and rising because both of them rise. The
// low bits name the mount, for Events that write to several.
func newUUID(at time.Time, id, mount uint64) (u [16]byte) {
	binary.BigEndian.PutUint64(u[:], uint64(at.UnixMilli())<<16|7<<12|id>>52)
	binary.BigEndian.PutUint64(u[8:], 1<<63|id<<12>>2|mount&0x3ff)
	return u
}
