package api

import (
	"context"
	"io"

	"github.com/pfs-project/pfs/backup"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// Writer changes the tree.
type Writer interface {
	// Propose commits a Request and returns when it is applied on this node.
	// Outcome.Err is the fold's own answer. An error of kind Unavailable means
	// that nothing was applied; a *vfs.Unknown that it may have been.
	Propose(ctx context.Context, r vfs.Request) (vfs.Outcome, error)
	// Keep reads all of r and keeps it: few bytes inline, more as chunks that
	// a quorum has synced. More than max bytes (0: no limit) is TooLarge.
	Keep(ctx context.Context, r io.Reader, max int64) (vfs.Content, error)
	// Do runs an Op of a Device on the node that the placement names; op.Path
	// is relative to the mount.
	Do(ctx context.Context, m vfs.Mounted, op vfs.Op) (vfs.Result, error)
	// Put writes a whole file of a Device from a stream. Unsupported, before
	// anything of r was read, says that it takes pieces, through Do.
	Put(ctx context.Context, m vfs.Mounted, op vfs.Op, r io.Reader) (vfs.Result, error)
}

// Reader gives the state to read from.
type Reader interface {
	vfs.Chunks
	// Image returns the state at one index, as fresh as l asks. The caller
	// releases it.
	Image(ctx context.Context, l vfs.Level) (*fsm.Image, error)
	// Sums waits until this node has applied index and returns hashes of the
	// replicated state, with the index that they are of.
	Sums(ctx context.Context, index uint64) (fsm.Sums, error)
	// MountSums is Sums with hashes of each mount, too.
	MountSums(ctx context.Context, index uint64) (fsm.Sums, []fsm.MountSum, error)
	// Watch has hear called, which must not wait, whenever the row with that
	// key of the whole state may have changed, until stop.
	Watch(row []byte, hear func()) (stop func())
}

// Member is this node among the others.
type Member interface {
	ID() string
	// Number is the node's short number: the high bits of its handle ids.
	Number() uint16
	// Peer returns the base URL of the node with a number; false if there is
	// no such node.
	Peer(number uint16) (url string, ok bool)
	// API returns the base URL of the node with an id; false if there is no
	// such node.
	API(id string) (url string, ok bool)
	// MountStates asks all nodes how their mounts outside the log fare, by
	// node and path. A node that does not answer is not in it.
	MountStates(ctx context.Context) map[string]map[vfs.Path]vfs.MountState
	// Ready returns nil when the node knows a leader and has caught up.
	Ready() error
}

// Action is a change of who is in the cluster, or of who leads it.
type Action struct {
	Do      string // join, remove, promote, demote, transfer, snapshot
	ID      string // of the node; transfer and snapshot may leave it open
	Address string // join: where the node is dialled
	Voter   bool   // join: it is to vote once it has caught up
	Force   bool   // remove, demote: even if a quorum is given up
}

// Cluster is the nodes among each other. What its methods return is answered
// as JSON.
type Cluster interface {
	// Status describes all members, with a digest of each if that is asked for.
	Status(ctx context.Context, digest bool) any
	// Verify compares the state of all members at one index.
	Verify(ctx context.Context) (any, error)
	// Manage does an Action, on whatever node it is to be done.
	Manage(ctx context.Context, a Action) (any, error)
}

// Backups makes and restores backups of the whole state; cluster.Node is one.
type Backups interface {
	// Backup freezes the state that this node has applied, for a backup of it.
	Backup(ctx context.Context) (backup.Source, error)
	// Restore takes in a backup that it reads from r. After an error the
	// cluster is as empty as before.
	Restore(ctx context.Context, r io.Reader) (backup.Restored, error)
}

// Node is what the API stands on; cluster.Node is one.
type Node interface {
	Writer
	Reader
	Member
}
