package vfs

import (
	"context"
	"time"
)

// Queuer is a FileSystem with queues, for those who watch over them. Queues
// describes at most so many, the one that was made first first; it settles
// nothing that has come due. Only the first of them, as many as closely says,
// have an Oldest: that is looked for.
type Queuer interface {
	Queues(ctx context.Context, v View, most, closely int) ([]QueueState, error)
}

// QueueState is how many messages a queue has.
type QueueState struct {
	Path     Path   // in the mount
	Ready    uint64 // to be taken
	Delayed  uint64 // ready later
	Inflight uint64 // under a lease
	Dead     uint64 // set aside
	// Oldest is when the one was enqueued that is Ready and came first; zero: none.
	Oldest time.Time
}
