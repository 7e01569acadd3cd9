//go:build inprocess

package server

import (
	"github.com/pfs-project/pfs/ffi"
	"github.com/pfs-project/pfs/ffi/native"
)

// InProcess returns what loads native libraries into this process.
func InProcess() ffi.Open { return native.NewCopies().Open }
