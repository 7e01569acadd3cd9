//go:build !linux

package prochost

import (
	"errors"
	"net"
)

// peer is not known here, where no program is started either.
func peer(*net.UnixConn) (int, error) { return 0, errors.ErrUnsupported }

// silent reports that no connection is to be used again: it is not known here whether
// one is open.
func silent(net.Conn) bool { return false }
