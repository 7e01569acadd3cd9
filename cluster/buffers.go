package cluster

import (
	"sync"
	"sync/atomic"

	"github.com/pfs-project/pfs/vfs"
)

// sizes are the buffers that content passes through, in bytes. The last holds
// any frame.
var sizes = [...]int{64 << 10, 512 << 10, vfs.ChunkSize, maxFrame}

// buffers keeps buffers of each size for the next one who needs it.
type buffers struct{ pools [len(sizes)]sync.Pool }

// buffer is a piece of memory that goes back when the last who holds it lets
// go.
type buffer struct {
	b     []byte
	from  *sync.Pool
	users atomic.Int32
	held  *budget // gets size back at the end; may be nil
	size  int64
}

// get returns a buffer with room for n bytes, at most maxFrame, held once.
func (p *buffers) get(n int) *buffer {
	i := 0
	for sizes[i] < n {
		i++
	}
	b, ok := p.pools[i].Get().(*buffer)
	if !ok {
		b = &buffer{b: make([]byte, sizes[i]), from: &p.pools[i]}
	}
	b.users.Store(1)
	b.held = nil
	return b
}

func (b *buffer) hold() { b.users.Add(1) }

func (b *buffer) free() {
	if b.users.Add(-1) == 0 {
		if b.held != nil {
			b.held.give(b.size)
		}
		b.from.Put(b)
	}
}
