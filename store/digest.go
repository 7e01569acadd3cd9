package store

import (
	"context"
	"encoding/binary"

	"github.com/zeebo/blake3"

	"github.com/pfs-project/pfs/vfs"
)

// digestCheck is how many pairs go between two looks at the context.
const digestCheck = 1024

// Hasher hashes pairs of keys and values in the order in which they are added,
// each with the lengths of its key and value before it: BLAKE3-256.
type Hasher struct {
	h   *blake3.Hasher
	buf []byte
}

// NewHasher returns a Hasher of no pairs.
func NewHasher() *Hasher { return &Hasher{h: blake3.New()} }

// Add hashes one more pair.
func (h *Hasher) Add(key, value []byte) {
	h.buf = binary.BigEndian.AppendUint64(h.buf[:0], uint64(len(key)))
	h.buf = binary.BigEndian.AppendUint64(h.buf, uint64(len(value)))
	h.buf = append(append(h.buf, key...), value...)
	_, _ = h.h.Write(h.buf) // never fails
}

// Sum returns the hash of the pairs so far.
func (h *Hasher) Sum() (sum [32]byte) {
	h.h.Sum(sum[:0])
	return sum
}

// Digest hands all pairs of the system space and the mount space of v, the
// whole state, to add in key order; they are valid until it returns. It reads
// everything, and fails only when ctx ends.
func Digest(ctx context.Context, v vfs.View, add func(key, value []byte)) error {
	pairs := 0
	for _, space := range []byte{vfs.SystemSpace, vfs.MountSpace} {
		for key, value := range v.Scan([]byte{space}, nil) {
			if pairs++; pairs%digestCheck == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			add(key, value)
		}
	}
	return ctx.Err()
}
