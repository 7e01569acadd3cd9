//go:build !inprocess

package server

import "github.com/pfs-project/pfs/ffi"

// inProcess returns nil: this server loads no libraries, and is linked with
// nothing of the system.
func inProcess() ffi.Open { return nil }
