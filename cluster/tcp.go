package cluster

import (
	"context"
	"net"
	"syscall"
	"time"
)

// ackTime is how long what was sent may stay unacknowledged by the other
// machine before the stream is given up. A node that merely pauses is none.
const ackTime = 2 * time.Second

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive(), Control: bounded}
	return d.DialContext(ctx, "tcp", address)
}

func listenTCP(address string) (net.Listener, error) {
	l := net.ListenConfig{KeepAliveConfig: keepAlive(), Control: bounded}
	return l.Listen(context.Background(), "tcp", address)
}

func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: time.Second, Count: 3}
}

// bounded sets ackTime where the system can.
func bounded(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = setAckTime(fd, ackTime) }); e != nil {
		return e
	}
	return err
}
