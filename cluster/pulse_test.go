package cluster

import (
	"strings"
	"testing"
	"time"
)

// A node that is cut off is alive and does not serve; one whose loop has not
// turned for long is dead, unless it installs a snapshot.
func TestAliveIsNotReady(t *testing.T) {
	g := newGang(t, 3, nil)
	f := (g.leader() + 1) % 3
	n := g.nodes[f]
	if err := n.Alive(); err != nil {
		t.Error(err)
	}
	poll(t, "it to serve", func() bool { return n.Serves() == nil })
	g.wires.isolate(f, true)
	poll(t, "a node that is cut off to know no leader", func() bool { return n.Serves() != nil })
	seen := n.pulse.Load()
	poll(t, "its loops to turn on", func() bool { return n.pulse.Load() > seen })
	if err := n.Alive(); err != nil {
		t.Errorf("a node that is cut off: %v", err)
	}
	g.wires.isolate(f, false)
	poll(t, "it to serve again", func() bool { return n.Serves() == nil })

	n.cancel() // its loops end
	poll(t, "it to be found dead", func() bool {
		n.pulse.Store(time.Now().Add(-2 * pulseLate).UnixNano())
		err := n.Alive()
		return err != nil && strings.Contains(err.Error(), "has not turned for 1m0s")
	})
	n.net.installing.Store(true)
	if err := n.Alive(); err != nil {
		t.Errorf("a node that installs a snapshot: %v", err)
	}
}
