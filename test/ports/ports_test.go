package ports

import (
	"net"
	"testing"
)

// TestFree gives none twice, and each may be listened on again and again.
func TestFree(t *testing.T) {
	seen := map[string]bool{}
	for _, addr := range Free(t, 300) {
		if seen[addr] {
			t.Fatalf("%s was given twice", addr)
		}
		seen[addr] = true
		for range 2 {
			l, err := net.Listen("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
		}
	}
}

// TestHeld takes no port that another process holds.
func TestHeld(t *testing.T) {
	addr := Free(t, 1)[0]
	if hold, err := net.ListenPacket("udp", addr); err == nil {
		hold.Close()
		t.Errorf("%s is not held", addr)
	}
}
