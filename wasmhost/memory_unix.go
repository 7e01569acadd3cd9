//go:build unix

package wasmhost

import (
	"context"
	"syscall"

	"github.com/tetratelabs/wazero/experimental"
)

// roomy makes instances that are made with ctx have memory of their own.
func roomy(ctx context.Context) context.Context {
	return experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(reserve))
}

// reserved is the memory of an instance: addresses for all that it may ever have, of
// which the system gives what is touched, and has all back once the instance ends. On
// the heap a module that grows leaves copy after copy for the collector to find.
type reserved struct{ all []byte }

func reserve(_, most uint64) experimental.LinearMemory {
	all, err := syscall.Mmap(-1, 0, int(max(most, pageSize)), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err != nil { // addresses are limited, or count as memory
		return &onHeap{most: most}
	}
	return &reserved{all}
}

// Reallocate returns the first size bytes. What was not there before is zero.
func (r *reserved) Reallocate(size uint64) []byte { return r.all[:size:size] }

// Free gives all back. Nothing of it may be looked at any more.
func (r *reserved) Free() {
	_ = syscall.Munmap(r.all) // it was mapped
	r.all = nil
}

// onHeap is memory of the Go heap.
type onHeap struct {
	b    []byte
	most uint64
}

// Reallocate returns size bytes, the first of them as they were, the others zero.
func (h *onHeap) Reallocate(size uint64) []byte {
	if size > uint64(cap(h.b)) {
		h.b = append(make([]byte, 0, min(max(size, size/4*5), h.most)), h.b...)
	}
	h.b = h.b[:size]
	return h.b
}

// Free leaves it to the collector.
func (h *onHeap) Free() { h.b = nil }
