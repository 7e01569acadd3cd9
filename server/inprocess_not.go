//go:build !inprocess

package server

import "github.com/pfs-project/pfs/ffi"

// InProcess returns nil: this server loads no libraries, and is linked with
// nothing of the system.
func InProcess() ffi.Open { return nil }
