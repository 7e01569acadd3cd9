// Package ports finds ports for servers that tests start, stop and start again.
//
// The system gives a port that nobody listens on to the next connection that
// goes out. So these lie below those of the system's own choice, and each is
// held for one test process: by a UDP socket of the same number, which goes
// with the process.
package ports

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Below lies the range that Linux and other systems choose from themselves.
const (
	from  = 12_000
	below = 32_000
	tries = 1000
)

// Free returns n addresses on loopback that nobody else listens on, held until
// the test ends.
func Free(t testing.TB, n int) []string {
	t.Helper()
	out := make([]string, n)
	for i := range out {
		out[i] = free(t)
	}
	return out
}

func free(t testing.TB) string {
	t.Helper()
	for range tries {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(from+rand.IntN(below-from)))
		hold, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue // another test holds it
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			hold.Close()
			continue
		}
		l.Close()
		t.Cleanup(func() { hold.Close() })
		return addr
	}
	t.Fatalf("no free port from %d to %d", from, below)
	return ""
}
