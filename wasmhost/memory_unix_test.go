//go:build unix

package wasmhost

import (
	"bytes"
	"testing"

	"github.com/tetratelabs/wazero/experimental"
)

// Memory keeps what it had when it grows, has zeroes behind that, and does not move
// where it is reserved.
func TestMemoryGrows(t *testing.T) {
	const most = 64 << 20
	for name, m := range map[string]experimental.LinearMemory{"reserved": reserve(0, most), "on the heap": &onHeap{most: most}} {
		t.Run(name, func(t *testing.T) {
			b := m.Reallocate(pageSize)
			first := &b[0]
			copy(b, "kept")
			for size := uint64(2 * pageSize); size <= most; size *= 2 {
				if b = m.Reallocate(size); uint64(len(b)) != size || string(b[:4]) != "kept" {
					t.Fatalf("%d bytes of %d: %q", len(b), size, b[:4])
				}
				if rest := b[size/2:]; !bytes.Equal(rest, make([]byte, len(rest))) {
					t.Fatalf("not zero behind %d", size/2)
				}
				b[size-1] = 0 // it is there
			}
			if name == "reserved" && first != &b[0] {
				t.Error("it has moved")
			}
			m.Free()
		})
	}
	if _, ok := reserve(0, 1<<62).(*onHeap); !ok {
		t.Error("more addresses than there are were reserved")
	}
	reserve(0, 0).Free() // a module without memory
}
