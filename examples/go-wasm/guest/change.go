//go:build wasip1

package guest

import "errors"

//go:wasmimport env host_fs_write
func hostWrite(path, data, n uint32) uint64

//go:wasmimport env host_fs_create
func hostCreate(path uint32) uint32

//go:wasmimport env host_fs_mkdir
func hostMkdir(path, mode uint32) uint32

//go:wasmimport env host_fs_remove
func hostRemove(path uint32) uint32

//go:wasmimport env host_fs_remove_all
func hostRemoveAll(path uint32) uint32

//go:wasmimport env host_fs_rename
func hostRename(from, to uint32) uint32

//go:wasmimport env host_fs_chmod
func hostChmod(path, mode uint32) uint32

// HostWrite replaces a file of the server's tree, at most 4 MiB, as far as the
// plugin is granted that. It is durable once it returns nil.
func HostWrite(path string, data []byte) error {
	at, from := lent(path), lentBytes(data)
	defer free(at)
	defer free(from)
	r := hostWrite(at, from, uint32(len(data)))
	switch {
	case uint32(r) != 0:
		return nil
	case r == 0:
		return errors.New("permission denied, or not found: " + path)
	}
	return errors.New(str(uint32(r >> 32)))
}

// HostCreate makes an empty file.
func HostCreate(path string) error { return onPath(path, hostCreate) }

// HostMkdir makes a directory.
func HostMkdir(path string, mode uint32) error {
	return onPath(path, func(at uint32) uint32 { return hostMkdir(at, mode) })
}

// HostRemove removes a file or an empty directory.
func HostRemove(path string) error { return onPath(path, hostRemove) }

// HostRemoveAll removes a directory and all below it.
func HostRemoveAll(path string) error { return onPath(path, hostRemoveAll) }

// HostChmod sets the permission bits.
func HostChmod(path string, mode uint32) error {
	return onPath(path, func(at uint32) uint32 { return hostChmod(at, mode) })
}

// HostRename moves a file or a directory, within what may be written.
func HostRename(from, to string) error {
	return onPath(to, func(at uint32) uint32 {
		old := lent(from)
		defer free(old)
		return hostRename(old, at)
	})
}

// onPath calls a function that answers with the text of an error, or none.
func onPath(path string, do func(at uint32) uint32) error {
	at := lent(path)
	defer free(at)
	if e := do(at); e != 0 {
		return errors.New(str(e))
	}
	return nil
}
