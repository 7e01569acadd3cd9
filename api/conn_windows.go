package api

import "net"

// gone cannot be known here without taking bytes.
func (c *conn) gone() bool { return false }

// left cannot be known here.
func (c *conn) left() (left <-chan struct{}, stop func()) { return nil, func() {} }

// boundUnsent has no counterpart here.
func boundUnsent(net.Conn) {}
