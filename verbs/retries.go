package verbs

import (
	"context"
	"time"

	"github.com/pfs-project/pfs/cli"
)

// Pauses of who waits for changes.
const (
	waitTime  = 50 * time.Second // one request: an idle follower makes no more
	tryPause  = time.Second      // before a server that failed is asked again
	pauseMost = 5 * time.Second  // between tries, as they grow
)

// retries paces the tries of what must not end because a server is away.
type retries struct {
	wait time.Duration // the last one; 0: it works
}

func (r *retries) worked() { r.wait = 0 }

// again waits a little after a failure, which it tells once.
func (r *retries) again(ctx context.Context, a *app, err error) error {
	if r.wait == 0 {
		a.Say("pfs: %s; trying again", cli.Explain(err))
		r.wait = tryPause / 2
	}
	r.wait = min(2*r.wait, pauseMost)
	return pause(ctx, r.wait)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
