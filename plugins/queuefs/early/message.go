package early

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// maxMessage is the length in bytes that a message must stay below.
const maxMessage = 16 << 20

// message is one message as its row holds it.
type message struct {
	id   [16]byte // UUID, version 7
	ns   int64    // when it was enqueued
	refs []vfs.ChunkRef
	data []byte // instead of refs
}

func (m message) encode() []byte {
	b := make([]byte, 0, 32+40*len(m.refs)+len(m.data))
	b = append(append(b, format), m.id[:]...)
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
	r := open(b)
	m := message{id: [16]byte(r.take(16)), ns: r.int()}
	n := r.uint()
	if n > uint64(len(r.b)/refBytes) {
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

// uuid renders the id as 8-4-4-4-12 hexadecimal digits.
func (m message) uuid() string {
	h := hex.EncodeToString(m.id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// newUUID makes a UUID of version 7 from the Event's time and an id of this
// mount: unique without randomness, and rising because both of them rise. The
// low bits name the mount, for Events that write to several.
func newUUID(at time.Time, id, mount uint64) (u [16]byte) {
	binary.BigEndian.PutUint64(u[:], uint64(at.UnixMilli())<<16|7<<12|id>>52)
	binary.BigEndian.PutUint64(u[8:], 1<<63|id<<12>>2|mount&0x3ff)
	return u
}
