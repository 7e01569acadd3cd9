package test

import (
	"fmt"
	"strings"
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
				a, err := w[i].settled("PUT", key, "", "If-None-Match", "*", "X-Pfs-Ttl", "1h", "Idempotency-Key", fmt.Sprintf("lock-%d-%d", i, k))
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
	for key, ttl := range map[string]string{"soon": "8s", "later": "10h"} {
		if a, err := w[1].settled("PUT", "/files?path=/kvfs/keys/"+key, "x", "X-Pfs-Ttl", ttl, "Idempotency-Key", key); err != nil || a.status != 200 {
			t.Errorf("%s: %v %+v", key, err, a)
		}
	}
	leader := c.Leader()
	if leader == nil {
		t.Fatal("no leader")
	}
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

// settled is patient with a request under an idempotency key until its outcome is
// known: it may lose its leader on the way.
func (w web) settled(method, route, body string, headers ...string) (a answer, err error) {
	harness.Poll(time.Minute, func() bool {
		a, err = w.patient(method, route, body, headers...)
		return err != nil || !strings.Contains(a.body, `"outcome":"unknown"`)
	})
	return a, err
}
