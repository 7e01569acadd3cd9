//go:build linux || darwin

package native

import (
	"github.com/pfs-project/pfs/ffi"
	"github.com/pfs-project/pfs/vfs"
)

// noText is below every address of a program: what is smaller is a count.
const noText = 64 << 10

// generation is that of FSWrite, as far as it is known.
func (i *instance) generation() int {
	if i.abi == unknown && i.counts.Load() {
		return second
	}
	return i.abi
}

// Write calls FSWrite. Both generations are called with six arguments: one that
// takes four does not look at the others. A library whose generation nobody knows
// yet gets no offset, which the first would take for the whole file.
func (i *instance) Write(p vfs.Path, data []byte, off int64, flag vfs.Flag) error {
	if err := i.needs("FSWrite"); err != nil {
		return err
	}
	if off != ffi.WholeFile && i.generation() != second {
		return ffi.ErrWhole
	}
	if len(data) > maxInt {
		return vfs.TooLarge
	}
	var a args
	defer a.end()
	r := i.lib.call("FSWrite", i.self, a.str(string(p)), a.data(data), uintptr(len(data)), uintptr(off), uintptr(flag))
	return i.wrote(r, int64(len(data)))
}

// wrote reads what FSWrite has answered to n bytes: a count, a negative number,
// NULL or a text.
func (i *instance) wrote(r uintptr, n int64) error {
	signed := int64(r)
	switch {
	case i.abi == first, i.abi == unknown && signed > n && signed >= noText:
		return i.said(r)
	case signed == 0 && n > 0 && i.generation() == unknown:
		return nil // NULL
	case signed < 0:
		return vfs.Internal.With("write failed")
	case signed > n:
		return vfs.Crashed.Withf("the plugin is wrong: it has written %d of %d bytes", signed, n)
	case signed < n:
		return vfs.Internal.Withf("the plugin wrote %d of %d bytes", signed, n)
	}
	if n > 0 {
		i.counts.Store(true)
	}
	return nil
}
