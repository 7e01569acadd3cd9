// Package ports gives tests the ports of package loopback.
package ports

import (
	"testing"

	"github.com/pfs-project/pfs/loopback"
)

// Free returns n addresses on loopback that nobody else listens on, held until
// the test ends.
func Free(t testing.TB, n int) []string {
	t.Helper()
	out := make([]string, n)
	for i := range out {
		addr, release, err := loopback.Hold()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(release)
		out[i] = addr
	}
	return out
}
