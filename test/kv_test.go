package test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// TestKeys has writers through three nodes race for keys, of which one wins
// each, and keys that end: on all nodes, also when their leader has died.
func TestKeys(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Nodes: 3})
	w := make([]web, len(c.Nodes))
	for i, n := range c.Nodes {
		w[i] = newWeb(t, n)
	}
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range w {
		wg.Go(func() {
			for k := range 20 {
				key := fmt.Sprintf("/files?path=/kvfs/keys/locks/%d", k)
				a, err := w[i].do("PUT", key, nil, "If-None-Match", "*", "X-Pfs-Ttl", "1h")
				switch {
				case err == nil && a.status == 200:
					won.Add(1)
				case err != nil || a.status != 412:
					t.Errorf("%s: %v %+v", key, err, a)
				}
			}
		})
	}
	wg.Wait()
	if won.Load() != 20 {
		t.Errorf("20 keys were won %d times", won.Load())
	}
	w[0].put("/kvfs/keys/soon", "x", "X-Pfs-Ttl", "8s")
	w[1].put("/kvfs/keys/later", "x", "X-Pfs-Ttl", "10h")
	leader := c.Leader()
	leader.Kill()
	for i, n := range c.Nodes {
		if n == leader {
			continue
		}
		if !harness.Poll(60*time.Second, func() bool {
			a, err := w[i].do("GET", "/files?path=/kvfs/keys/soon&consistency=linearizable", nil)
			return err == nil && a.status == 404
		}) {
			t.Errorf("%s: the key does not end\n%s", n.ID, n.Tail())
		}
		w[i].reads("/kvfs/keys/later", "x")
	}
	leader.Start()
	c.Ready()
	c.SameDigest()
	for i := range w {
		w[i].want(404, "GET", "/files?path=/kvfs/keys/soon&consistency=linearizable", "")
		w[i].reads("/kvfs/keys/later", "x")
	}
}
