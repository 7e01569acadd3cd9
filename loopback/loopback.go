// Package loopback finds ports on loopback for servers that are started, stopped
// and started again.
//
// The system gives a port that nobody listens on to the next connection that
// goes out. So these lie below those of the system's own choice, and each is
// held by a UDP socket of the same number, which goes with the process.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Below lies the range that Linux and other systems choose from themselves.
const (
	from  = 12_000
	below = 32_000
	tries = 1000
)

// Hold returns an address on loopback that nobody else listens on, and what
// gives it back.
func Hold() (addr string, release func(), err error) {
	for range tries {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(from+rand.IntN(below-from)))
		hold, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue // someone else holds it
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			hold.Close()
			continue
		}
		l.Close()
		return addr, func() { hold.Close() }, nil
	}
	return "", nil, fmt.Errorf("no free port from %d to %d", from, below)
}
