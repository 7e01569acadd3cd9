//go:build !race

package cluster

import (
	"testing"

	"github.com/pfs-project/pfs/test/ports"
)

// Raft itself reads the address that it is changing, without a lock: the race
// detector would speak of that.

// TestNewAddress moves a node to another address.
func TestNewAddress(t *testing.T) {
	g := newGang(t, 3, nil)
	i := (g.leader() + 1) % 3
	g.stop(i)
	addr := ports.Free(t, 1)[0]
	g.wires.own(addr, i)
	g.conf[i].Address = addr
	g.start(i)
	g.ready()
	poll(t, "the address in the configuration", func() bool {
		for _, s := range g.nodes[i].configuration().Servers {
			if string(s.ID) == g.nodes[i].ID() {
				return string(s.Address) == addr
			}
		}
		return false
	})
	g.write(i, "/m/a", "x")
	g.sameDigest()
}
