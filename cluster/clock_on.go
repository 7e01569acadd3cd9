//go:build soak_clock

package cluster

import (
	"os"
	"path/filepath"
	"time"
)

// wallClock returns the clock of the node that is called node, which a fault
// test steps: by the duration in the file of that name in PFS_SOAK_CLOCK.
func wallClock(node string) func() time.Time {
	file := filepath.Join(os.Getenv("PFS_SOAK_CLOCK"), node)
	return func() time.Time {
		b, _ := os.ReadFile(file) // none is no step
		step, _ := time.ParseDuration(string(b))
		return time.Now().Round(0).Add(step)
	}
}
