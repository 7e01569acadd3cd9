package cluster

import (
	"slices"
	"sync"
	"time"
)

// recent is how long the last durable appends took. Safe for concurrent use.
type recent struct {
	mu   sync.Mutex
	took [256]time.Duration // a ring
	n    int                // all that ever were
}

func (r *recent) add(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took[r.n%len(r.took)] = d
	r.n++
}

// p99 returns what 99 of 100 took at most.
func (r *recent) p99() time.Duration {
	r.mu.Lock()
	last := slices.Clone(r.took[:min(r.n, len(r.took))])
	r.mu.Unlock()
	if len(last) == 0 {
		return 0
	}
	slices.Sort(last)
	return last[(len(last)*99+99)/100-1]
}

// appendP99 is recent.p99 in milliseconds.
func (m *metrics) appendP99() float64 { return float64(m.recent.p99().Microseconds()) / 1000 }
