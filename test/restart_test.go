package test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// TestRestartHidesNothing kills a node again and again and reads what it has
// acknowledged from the first moment on in which it answers again.
func TestRestartHidesNothing(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Nodes: 1})
	n := c.Nodes[0]
	cl := c.Client(0)
	early := 0
	for round := range 8 {
		for k := range 150 {
			putFile(t, cl, fmt.Sprintf("/memfs/f%d-%d", round, k), "x")
		}
		n.Kill()
		n.Start()
		newest := fmt.Sprintf("%s/api/v1/files?path=/memfs/f%d-149", n.URL, round)
		answered := harness.Poll(30*time.Second, func() bool {
			resp, err := http.Get(newest)
			if err != nil {
				return false
			}
			resp.Body.Close()
			if resp.StatusCode == http.StatusNotFound {
				t.Errorf("round %d: what was acknowledged is not found", round)
			}
			if resp.StatusCode != http.StatusOK {
				early++
			}
			return resp.StatusCode == http.StatusOK
		})
		if !answered {
			t.Fatalf("round %d: no answer\n%s", round, n.Tail())
		}
	}
	t.Logf("8 kills: %d answers asked for patience", early)
}
