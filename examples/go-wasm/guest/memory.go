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

// lent is where the host may read a text until it is freed.
func lent(s string) uint32 { return lentBytes(append([]byte(s), 0)) }

// lentBytes is the same for bytes.
func lentBytes(b []byte) uint32 {
	at := malloc(uint32(len(b)))
	copy(blocks[at], b)
	return at
}

// The buffers that are shared with the host: it writes arguments into the first, and
// reads answers in the second before the next call. What is longer is in blocks.
var input, output [64 << 10]byte

//go:wasmexport get_input_buffer_ptr
func inputBuffer() uint32 { return uint32(uintptr(unsafe.Pointer(&input))) }

//go:wasmexport get_output_buffer_ptr
func outputBuffer() uint32 { return uint32(uintptr(unsafe.Pointer(&output))) }

//go:wasmexport get_shared_buffer_size
func bufferSize() uint32 { return uint32(len(input)) }

// put copies b to where the host finds it.
func put(b []byte) uint32 { return given(append(output[:0], b...)) }

// told gives the host a text that was appended to output[:0].
func told(b []byte) uint32 { return given(append(b, 0)) }

// given is where what was appended to output[:0] is: there, or in a block of its own.
func given(b []byte) uint32 {
	if len(b) <= len(output) {
		return outputBuffer()
	}
	at := uint32(uintptr(unsafe.Pointer(&b[0])))
	blocks[at] = b
	return at
}

// text is told for a text; 0 for none.
func text(s string) uint32 {
	if s == "" {
		return 0
	}
	return told(append(output[:0], s...))
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
