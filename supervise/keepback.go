package supervise

import (
	"context"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// Moment is how long KeepBack waits.
const Moment = 25 * time.Millisecond

// KeepBack waits, before a call returns the error at err, for a moment if the plugin was
// wrong or is not there: an answer of that kind costs the server more than a right one, or
// comes at once, and who asks for it without a pause is to have one. It is to be deferred
// before all else, so that the call holds nothing that others wait for.
func KeepBack(ctx context.Context, err *error) {
	switch vfs.KindOf(*err) {
	case vfs.Crashed, vfs.Unavailable:
		select {
		case <-time.After(Moment):
		case <-ctx.Done():
		}
	}
}
