package store

import (
	"context"
	"encoding/binary"

	"github.com/zeebo/blake3"

	"github.com/pfs-project/pfs/vfs"
)

// digestCheck is how many pairs go between two looks at the context.
const digestCheck = 1024

// Digest returns the BLAKE3-256 of all pairs of the system space and the mount
// space of v, the whole state, in key order; each pair with the lengths of its
// key and value before it. It reads everything, and fails only when ctx ends.
func Digest(ctx context.Context, v vfs.View) ([32]byte, error) {
	var sum [32]byte
	h := blake3.New()
	buf := make([]byte, 0, 4096)
	pairs := 0
	for _, space := range []byte{vfs.SystemSpace, vfs.MountSpace} {
		for key, value := range v.Scan([]byte{space}, nil) {
			if pairs++; pairs%digestCheck == 0 && ctx.Err() != nil {
				return sum, ctx.Err()
			}
			buf = binary.BigEndian.AppendUint64(buf[:0], uint64(len(key)))
			buf = binary.BigEndian.AppendUint64(buf, uint64(len(value)))
			buf = append(append(buf, key...), value...)
			_, _ = h.Write(buf) // never fails
		}
	}
	h.Sum(sum[:0])
	return sum, ctx.Err()
}
