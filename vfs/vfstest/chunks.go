package vfstest

import (
	"context"
	"crypto/sha256"
	"maps"
	"sync"

	"github.com/pfs-project/pfs/vfs"
)

// Chunks keeps chunks in memory, and remembers which of them were read. Their
// names are SHA-256 here: a filesystem never looks into a name. Safe for
// concurrent use.
type Chunks struct {
	mu   sync.Mutex
	data map[[32]byte][]byte
	read map[[32]byte]bool
}

// NewChunks returns an empty Chunks.
func NewChunks() *Chunks { return &Chunks{data: map[[32]byte][]byte{}, read: map[[32]byte]bool{}} }

// Put keeps a copy of data as one chunk.
func (c *Chunks) Put(data []byte) vfs.ChunkRef {
	c.mu.Lock()
	defer c.mu.Unlock()
	hash := sha256.Sum256(data)
	c.data[hash] = append([]byte(nil), data...)
	return vfs.ChunkRef{Hash: hash, Len: uint32(len(data))}
}

// chunkLen is short, so that little content makes several references.
const chunkLen = 20_000

// Fill sets the content of op: inline when it is short enough, otherwise as
// references to chunks.
func (c *Chunks) Fill(op *vfs.Op, data []byte) {
	op.Data, op.Refs = data, nil
	if len(data) > vfs.MaxInline {
		c.Split(op, data)
	}
}

// Split sets the content of op as references, however short it is.
func (c *Chunks) Split(op *vfs.Op, data []byte) {
	op.Data, op.Refs = nil, nil
	for len(data) > 0 {
		n := min(len(data), chunkLen)
		op.Refs = append(op.Refs, c.Put(data[:n]))
		data = data[n:]
	}
}

// ReadChunk fills b from the slice ref, starting off bytes into it.
func (c *Chunks) ReadChunk(ctx context.Context, ref vfs.ChunkRef, b []byte, off int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	data, ok := c.data[ref.Hash]
	switch {
	case !ok:
		return vfs.Internal.Withf("no chunk %x", ref.Hash[:4])
	case off < 0 || off+int64(len(b)) > int64(ref.Len) || int64(ref.Off)+int64(ref.Len) > int64(len(data)):
		return vfs.Internal.Withf("%d bytes at %d are not in a slice of %d at %d of %d", len(b), off, ref.Len, ref.Off, len(data))
	}
	copy(b, data[int64(ref.Off)+off:])
	c.read[ref.Hash] = true
	return nil
}

// Taken returns which chunks were read since it was last asked.
func (c *Chunks) Taken() map[[32]byte]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := maps.Clone(c.read)
	clear(c.read)
	return taken
}
