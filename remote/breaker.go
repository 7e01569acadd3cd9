package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pfs-project/pfs/client"
)

const (
	firstPause   = time.Second
	lastPause    = 15 * time.Second
	siblingPause = 2 * time.Second // a node of this cluster is back soon, and near
)

// breaker leaves a server alone that does not answer: calls fail at once, but
// for one now and then that finds out whether it is back.
type breaker struct {
	tries int           // 0: it never does
	most  time.Duration // between two calls that find out

	mu     sync.Mutex
	silent int // calls without an answer, one after the other
	why    error
	until  time.Time
	asking bool // the one call is under way
}

// enter lets a call in, which must leave, or says why not.
func (b *breaker) enter(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.tries == 0 || b.silent < b.tries:
		return nil
	case b.asking || now.Before(b.until):
		return fmt.Errorf("%w (asked again in %v)", b.why, max(b.until.Sub(now), 0).Round(100*time.Millisecond))
	}
	b.asking = true
	return nil
}

// pass ends a call of which nothing is known.
func (b *breaker) pass() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking = false
}

// leave notes how a call has ended. An error that the server answered is an
// answer; that of a caller who has left tells nothing.
func (b *breaker) leave(err error, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking = false
	var u *client.Unreachable
	switch {
	case !errors.As(err, &u):
		b.silent = 0
	case errors.Is(u.Err, context.Canceled) && !errors.Is(u.Err, errStill):
	default:
		b.silent, b.why = b.silent+1, u
		b.until = now.Add(min(firstPause<<min(max(b.silent-b.tries, 0), 10), b.most))
	}
}
