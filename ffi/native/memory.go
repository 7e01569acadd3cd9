//go:build linux || darwin

package native

import (
	"runtime"
	"strings"
	"unsafe"

	"github.com/pfs-project/pfs/vfs"
)

// The bounds of what a library returns, in bytes.
const (
	maxText = 64 << 10
	maxDoc  = 256 << 10
	maxRead = 256 << 20 // a plugin may answer a whole file, whatever it is asked for
	maxInt  = 1<<31 - 1 // lengths are C ints
)

// pointer makes an address that C has returned one that Go reads from. The
// address is read where it stands, so that it is no conversion of a number: it is
// never one of Go's memory.
func pointer(at *uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(at)) }

// text copies the text at an address, "" for NULL. Its end is looked for within
// most bytes.
func text(at uintptr, most int) (string, error) {
	if at == 0 {
		return "", nil
	}
	p := pointer(&at)
	for n := range most {
		if *(*byte)(unsafe.Add(p, n)) == 0 {
			return strings.Clone(unsafe.String((*byte)(p), n)), nil
		}
	}
	return "", vfs.Crashed.Withf("the plugin is wrong: a text has no end within %d bytes", most)
}

// bytesAt is n bytes at an address, as they stand there.
func bytesAt(at uintptr, n int) []byte {
	if at == 0 || n <= 0 {
		return nil
	}
	return unsafe.Slice((*byte)(pointer(&at)), n)
}

// args are arguments that live as long as a call.
type args struct{ pin runtime.Pinner }

func (a *args) end() { a.pin.Unpin() }

// str returns s with a zero behind it. Paths and settings have none inside.
func (a *args) str(s string) uintptr {
	b := make([]byte, len(s)+1)
	copy(b, s)
	return a.at(&b[0])
}

// data returns the address of b: one that can be read even if b is empty.
func (a *args) data(b []byte) uintptr {
	if len(b) == 0 {
		b = make([]byte, 1)
	}
	return a.at(&b[0])
}

func (a *args) at(p *byte) uintptr {
	a.pin.Pin(p)
	return uintptr(unsafe.Pointer(p))
}

// count is an int* for the library to fill in. There is room for a library that
// takes it for eight bytes; only four are read.
type count [2]int32

func (a *args) count(n *count) uintptr {
	a.pin.Pin(n)
	return uintptr(unsafe.Pointer(n))
}

// fileInfo is FileInfoC on systems with 64 bits.
type fileInfo struct {
	name        uintptr
	size        int64
	mode        uint32
	_           uint32
	modTime     int64 // seconds since 1970
	isDir       int32
	_           uint32
	metaName    uintptr
	metaType    uintptr
	metaContent uintptr // a JSON object
}

// infoSize is its length, 64.
const infoSize = unsafe.Sizeof(fileInfo{})
