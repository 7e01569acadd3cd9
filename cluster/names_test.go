package cluster

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/pfs-project/pfs/test/ports"
	"github.com/pfs-project/pfs/vfs"
)

// Peers are named, and a name may lead elsewhere when a node comes back: it is
// looked up at every dial.
func TestNamesAreLookedUpAgain(t *testing.T) {
	var mu sync.Mutex
	where := map[string]string{}
	name := func(i int) string { return fmt.Sprintf("n%d.pfs.example:7946", i+1) }
	g := newGang(t, 3, func(i int, c *Config) {
		where[name(i)] = c.Address
		c.Advertise, c.Join = name(i), []string{name(0), name(1), name(2)}
		c.Plaintext = true // the names are not of loopback
		dial := c.dial
		c.dial = func(ctx context.Context, addr string) (net.Conn, error) {
			mu.Lock()
			to, ok := where[addr]
			mu.Unlock()
			if !ok {
				return nil, fmt.Errorf("no such host: %s", addr)
			}
			return dial(ctx, to)
		}
	})
	g.write(0, "/m/a", "x")
	for round := range 2 {
		i := (g.leader() + round) % 3
		g.stop(i)
		moved := ports.Free(t, 1)[0]
		g.wires.own(moved, i)
		g.conf[i].Address = moved
		mu.Lock()
		where[name(i)] = moved
		mu.Unlock()
		g.start(i)
		g.ready()
		g.write(i, vfs.Path(fmt.Sprintf("/m/r%d", round)), "x")
	}
	for i := range g.nodes {
		poll(t, "node 1 to reach all by their names", func() bool {
			s := g.nodes[0].Status(testContext(t), false).Nodes[i]
			return s.RaftAddress == s.ID+".pfs.example:7946" && s.State != "unreachable"
		})
	}
	g.sameDigest()
}
