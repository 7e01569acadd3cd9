package supervise

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// What a plugin that is wrong or away answers is kept back, but not from somebody who
// is gone, and nothing else is.
func TestKeepBack(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			ctx  context.Context
			err  error
			want time.Duration
		}{
			{t.Context(), nil, 0}, {t.Context(), vfs.NotFound.With("none"), 0}, {t.Context(), errCrash, 0},
			{t.Context(), vfs.Crashed.With("wrong"), Moment}, {t.Context(), vfs.Unavailable.With("left alone"), Moment},
			{gone, vfs.Crashed.With("wrong"), 0},
		} {
			began := time.Now()
			if KeepBack(c.ctx, &c.err); time.Since(began) != c.want {
				t.Errorf("%v: after %v, expected %v", c.err, time.Since(began), c.want)
			}
		}
	})
}
