//go:build wasip1

package guest

import (
	"encoding/json"
	"errors"
)

//go:wasmimport env host_fs_read
func hostRead(path uint32, off, size int64) uint64

//go:wasmimport env host_fs_readdir
func hostReaddir(path uint32) uint64

// HostRead reads from a file of the server's tree, as far as the plugin is
// granted it: at most 4 MiB at once, fewer bytes at its end.
func HostRead(path string, off, size int64) ([]byte, error) {
	at := lent(path)
	defer free(at)
	r := hostRead(at, off, size)
	if uint32(r) == 0 {
		return nil, errors.New("permission denied, or not found: " + path)
	}
	return read(uint32(r), uint32(r>>32)), nil
}

// HostList lists a directory of the server's tree.
func HostList(path string) ([]Info, error) {
	at := lent(path)
	defer free(at)
	r := hostReaddir(at)
	if high := uint32(r >> 32); high != 0 {
		return nil, errors.New(str(high))
	}
	var out []Info
	return out, json.Unmarshal([]byte(str(uint32(r))), &out)
}
