//go:build !linux

package ffi

import (
	"context"
	"os"
	"sync/atomic"

	"github.com/pfs-project/pfs/vfs"
)

// lanes are there on Linux; elsewhere all calls take the socket.
type lanes struct{ shared []byte }

func newLanes(int, *atomic.Int32) (*lanes, error) { return nil, vfs.Unsupported }

func (l *lanes) files() []*os.File { return nil }

func (l *lanes) given() {}

func (l *lanes) close() {}

func (l *lanes) put(int, request) (func(), bool) { return nil, false }

func (l *lanes) ring(int) error { return vfs.Unsupported }

func (l *lanes) soon(int) (bool, error) { return false, vfs.Unsupported }

func (l *lanes) later(context.Context, int) error { return vfs.Unsupported }

func serveLanes(int, func(kind, []byte, []byte) (state, []byte), func(error)) error {
	return vfs.Unsupported
}
