// Package target has the words between a load and what it is sent to, so that
// one workload measures PFS and its peers alike.
package target

import (
	"context"
	"io"
)

// Target is one server, or several that act as one, ready for requests.
type Target struct {
	Name       string // as a table shows it
	Version    string // of the server
	Nodes      int
	Durability string // what an acknowledgement means, one sentence
	KV         KV     // nil where it has none; so the next two
	Queue      Queue
	Blob       Blob
	Groups     []int        // process groups of its processes, of this machine
	Close      func() error // ends what was started for it, and its connections
}

// KV holds small values. Clients are numbered from 0; each has a connection of
// its own and is used by one goroutine at a time, several clients at once.
type KV interface {
	// Put returns when the value is as durable as Target.Durability says.
	Put(ctx context.Context, client int, key string, value []byte) error
	// Get appends the value to dst[:0] and returns it.
	Get(ctx context.Context, client int, key string, dst []byte) ([]byte, error)
}

// Queue gives each message once, the oldest first.
type Queue interface {
	// Enqueue returns when the message is as durable as Target.Durability says.
	Enqueue(ctx context.Context, client int, body []byte) error
	// Dequeue takes one message out; nil says that there is none.
	Dequeue(ctx context.Context, client int) ([]byte, error)
}

// Blob holds large content.
type Blob interface {
	// Upload stores size bytes of r, in place of what was there.
	Upload(ctx context.Context, name string, r io.Reader, size int64) error
	// Download writes the content to w and returns its length.
	Download(ctx context.Context, name string, w io.Writer) (int64, error)
}
