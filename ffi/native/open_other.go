//go:build !linux && !darwin

package native

import (
	"github.com/pfs-project/pfs/ffi"
	"github.com/pfs-project/pfs/vfs"
)

// Open refuses every library: they are loaded on Linux and macOS.
func Open(ffi.Settings, []byte) (ffi.Description, ffi.Guest, error) {
	return ffi.Description{}, nil, vfs.Unsupported.With("native plugins: operation not supported on this system")
}

// Settle does nothing here.
func Settle() error { return nil }

// Copies refuses every library, too.
type Copies struct{}

// NewCopies returns a Copies.
func NewCopies() *Copies { return &Copies{} }

// Open is as [Open].
func (*Copies) Open(s ffi.Settings, code []byte) (ffi.Description, ffi.Guest, error) {
	return Open(s, code)
}
