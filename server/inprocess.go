//go:build inprocess

package server

import (
	"github.com/pfs-project/pfs/ffi"
	"github.com/pfs-project/pfs/ffi/native"
)

// inProcess returns what loads native libraries into this process.
func inProcess() ffi.Open { return native.NewCopies().Open }
