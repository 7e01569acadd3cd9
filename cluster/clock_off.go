//go:build !soak_clock

package cluster

import "time"

// wallClock returns the clock of the node that is called node.
func wallClock(string) func() time.Time { return time.Now }
