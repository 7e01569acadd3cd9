//go:build !unix

package ffi

import (
	"net"
	"os"

	"github.com/pfs-project/pfs/vfs"
)

func pair() (net.Conn, *os.File, error) {
	return nil, nil, vfs.Unsupported.With("native plugins: operation not supported on this system")
}
