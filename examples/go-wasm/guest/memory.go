//go:build wasip1

package guest

import "unsafe"

// blocks keeps what the host knows the address of.
var blocks = map[uint32][]byte{}

//go:wasmexport malloc
func malloc(n uint32) uint32 {
	b := make([]byte, max(n, 1))
	at := uint32(uintptr(unsafe.Pointer(&b[0])))
	blocks[at] = b
	return at
}

//go:wasmexport free
func free(at uint32) { delete(blocks, at) }

// put copies b to where the host finds it, and frees it.
func put(b []byte) uint32 {
	at := malloc(uint32(len(b)))
	copy(blocks[at], b)
	return at
}

// told gives the host a text that is not used here any more, without a copy.
func told(b []byte) uint32 {
	b = append(b, 0)
	at := uint32(uintptr(unsafe.Pointer(&b[0])))
	blocks[at] = b
	return at
}

// text is told for a text; 0 for none.
func text(s string) uint32 {
	if s == "" {
		return 0
	}
	return told(append(make([]byte, 0, len(s)+1), s...))
}

// fault is the text of an error; 0 for none.
func fault(err error) uint32 {
	if err == nil {
		return 0
	}
	return text(err.Error())
}

// read copies n bytes of memory.
func read(at, n uint32) []byte {
	if n == 0 {
		return nil
	}
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(uintptr(at))), n)...)
}

// str copies the text at a pointer.
func str(at uint32) string {
	if at == 0 {
		return ""
	}
	n := uint32(0)
	for *(*byte)(unsafe.Pointer(uintptr(at + n))) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(unsafe.Pointer(uintptr(at))), n))
}

// pair is two halves of a result.
func pair(low, high uint32) uint64 { return uint64(high)<<32 | uint64(low) }
