package api

import "net"

// gone cannot be known here without taking bytes.
func (c *conn) gone() bool { return false }

// boundUnsent has no counterpart here.
func boundUnsent(net.Conn) {}
