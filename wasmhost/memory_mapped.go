//go:build linux || darwin

package wasmhost

import (
	"context"
	"syscall"

	"github.com/tetratelabs/wazero/experimental"
)

// roomy has the instance that is made with ctx have memory of its own, which is there
// until free is called: not before all that the instance runs, and all that it has
// called, has returned.
func roomy(ctx context.Context) (_ context.Context, free func()) {
	var all []*reserved
	allocate := func(least, most uint64) experimental.LinearMemory {
		r, err := reserve(least, most)
		if err != nil { // addresses are limited, or memory is
			return &onHeap{most: most}
		}
		all = append(all, r)
		return r
	}
	return experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(allocate)), func() {
		for _, r := range all {
			_ = syscall.Munmap(r.all) // it was mapped
		}
		all = nil
	}
}

// manyAddresses is a limit of addresses that is none.
const manyAddresses = 1 << 62

// reserved is the memory of an instance: addresses for all that it may ever have, of
// which as many can be used as it has, and the system gives what is touched. It has all
// back once the instance ends; on the heap a module that grows leaves copy after copy
// for the collector to find.
type reserved struct {
	all  []byte
	used uint64 // bytes from the start that may be read and written
}

// reserve reserves most bytes, the first of which can be used. Where addresses are
// limited it fails: the Go heap needs them.
func reserve(least, most uint64) (*reserved, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &limit); err == nil && limit.Cur < manyAddresses {
		return nil, syscall.ENOMEM
	}
	all, err := syscall.Mmap(-1, 0, int(max(most, pageSize)), syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	r := &reserved{all: all}
	if err := r.use(least); err != nil {
		_ = syscall.Munmap(all)
		return nil, err
	}
	return r, nil
}

func (r *reserved) use(size uint64) error {
	if size <= r.used {
		return nil
	}
	err := syscall.Mprotect(r.all[r.used:size], syscall.PROT_READ|syscall.PROT_WRITE)
	if err == nil {
		r.used = size
	}
	return err
}

// Reallocate returns the first size bytes, or nil if the system has no more. What was
// not there before is zero.
func (r *reserved) Reallocate(size uint64) []byte {
	if r.use(size) != nil {
		return nil
	}
	return r.all[:size:size]
}

// Free leaves it there: a module that exits is below functions of the host, and of its
// own, that go on.
func (r *reserved) Free() {}

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
func (h *onHeap) Free() {}
