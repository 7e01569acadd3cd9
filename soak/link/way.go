package link

import (
	"math/rand/v2"
	"sync"
	"time"
)

// way is the rule of one direction.
type way struct {
	mu      sync.Mutex
	rule    Rule
	changed chan struct{} // closed when the rule changes
}

func (w *way) set(r Rule) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rule = r
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *way) now() (Rule, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rule, w.changed
}

// open waits until the way is not cut; false once done is closed.
func (w *way) open(done <-chan struct{}) bool {
	for {
		r, changed := w.now()
		if !r.Cut {
			select {
			case <-done:
				return false
			default:
				return true
			}
		}
		select {
		case <-changed:
		case <-done:
			return false
		}
	}
}

// due returns when a byte that is sent now arrives.
func (w *way) due() time.Time {
	r, _ := w.now()
	d := r.Delay
	if r.Jitter > 0 {
		d += rand.N(r.Jitter)
	}
	return time.Now().Add(d)
}

// toll is how long n bytes take under the rate.
func (w *way) toll(n int) time.Duration {
	r, _ := w.now()
	if r.Rate <= 0 {
		return 0
	}
	return time.Duration(n) * time.Second / time.Duration(r.Rate)
}

// sleep waits for d; false once done is closed.
func sleep(d time.Duration, done <-chan struct{}) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
		return false
	}
}
