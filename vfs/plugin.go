package vfs

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"time"
)

// View is one mount's state at one index: ordered keys and values. What it
// returns must not be changed and is valid until the View is closed by whoever
// made it. A fault in the store under it panics with a [StoreFault].
type View interface {
	// Get returns the value of key, and whether there is one.
	Get(key []byte) (value []byte, ok bool)
	// Scan yields the keys that start with prefix and are not below from, in
	// order. from is a whole key; nil starts at the prefix. The pairs are
	// valid only until the next step.
	Scan(prefix, from []byte) iter.Seq2[[]byte, []byte]
}

// StoreFault is what a View panics with when the store under it fails. It ends
// the node and never becomes an answer.
type StoreFault struct{ Err error }

// Error says what failed.
func (f StoreFault) Error() string { return "store fault: " + f.Err.Error() }

// Unwrap returns the cause.
func (f StoreFault) Unwrap() error { return f.Err }

// Tx is a View that can change. All of it commits with its Event, or none of
// it does. It takes copies of what it is given.
type Tx interface {
	View
	Put(key, value []byte)
	Delete(key []byte)
	DeleteRange(from, to []byte) // [from, to)
	Retain(ref ChunkRef)         // counts a chunk in; a hole is ignored
	Release(ref ChunkRef)        // counts it out
	Now() time.Time              // the Event's time; never goes back; the same on every node
	Seq() uint64                 // the Event's number
}

// FileSystem is three reads. Paths are relative to the mount. Stat does not
// follow a link at the end of p; List and ReadAt answer a [*LinkError] there.
type FileSystem interface {
	Stat(ctx context.Context, v View, p Path) (Info, error)
	// List returns the entries of a directory in order of the bytes of their
	// names, those after `after` only, at most limit (0: all).
	List(ctx context.Context, v View, p Path, after string, limit int) ([]Info, error)
	// ReadAt is as io.ReaderAt: fewer bytes than asked for come with io.EOF.
	ReadAt(ctx context.Context, v View, p Path, b []byte, off int64) (int, error)
}

// Folder is a filesystem whose whole state is what its Ops fold into the Tx.
// It keeps no state of its own. The verb Mount comes first, once.
type Folder interface {
	FileSystem
	// Apply folds one Op in; alone, in log order. It depends only on tx and
	// op. On an error the caller drops all that tx took.
	Apply(tx Tx, op Op) (Result, error)
}

// Device is a filesystem that reaches something outside; its View is nil.
type Device interface {
	FileSystem
	Do(ctx context.Context, op Op) (Result, error)
}

// Timer is a Folder with work that time brings: the leader asks and proposes
// the Ops (paths relative to the mount), each bounded. next is when to ask
// again; zero for not before the next change.
type Timer interface {
	Due(v View, now time.Time) (ops []Op, next time.Time)
}

// Replier renders what Consume took, outside Apply.
type Replier interface {
	Reply(ctx context.Context, r Result, w io.Writer) error
}

// Waiter is a Folder with files that give something away now and then: Await
// says how many Consumes of p would get something at once, and names the row
// of the View that changes whenever that does. With the option "wait" a Consume
// that would get nothing is Empty. Idle is what one gets that has waited in
// vain; it fails if op asks for what cannot be, or is Unsupported if p gives
// nothing away.
type Waiter interface {
	Await(v View, p Path) (ready uint64, row []byte, err error)
	Idle(op Op) (Result, error)
}

// Follower is a Folder with files that are streams: a Write puts bytes behind
// the end, and the oldest are forgotten. Follow describes the one at p: NotFound
// may come with the Row that changes once it is there; IsDirectory and
// Unsupported say that p is none. ReadStream reads on from an offset: no bytes
// and no error when there are none yet, Range when they are forgotten, NotFound
// when the stream is gone.
type Follower interface {
	Follow(v View, p Path) (Live, error)
	ReadStream(ctx context.Context, v View, file uint64, b []byte, off int64) (int, error)
}

// Live is a stream as it is now.
type Live struct {
	File        uint64 // its id
	Oldest, End int64  // offsets in bytes: of the first that is kept, behind the last
	Row         []byte // of the View: it changes whenever the stream does
}

// Echoer is a Folder whose Writes are written to other files as well, in the
// same Event: Echo says what a Write that it has applied brings, as Writes to
// global paths. Missing directories are made; if one of them cannot be done the
// whole Event fails. What is brought brings nothing in turn.
type Echoer interface {
	Echo(tx Tx, op Op, r Result) ([]Op, error)
}

// Shipper is an Echoer whose files may be outside the log, where an Event cannot
// write. Their bytes are kept in its own state: Spool takes what Echo brought,
// for such a file. Once no more comes to a file, Ship names it, the first of
// them; the leader writes it there, and then proposes its Done. A file that was
// written and not noted is written again. ReadShipment reads one as ReadAt does.
type Shipper interface {
	Spool(tx Tx, op Op, r Result) error
	Ship(v View) (Shipment, bool)
	ReadShipment(ctx context.Context, v View, s Shipment, b []byte, off int64) (int, error)
}

// Shipment is a file for a mount outside the log.
type Shipment struct {
	To   Path  // global; what is there already must stay
	Size int64 // bytes
	Key  []byte
	Done Op // its path is relative to the mount
}

// Freer is a Folder with Writes that give space back, so that a full cluster
// takes them: Frees reports whether one to p does.
type Freer interface {
	Frees(p Path) bool
}

// Leveled is a Folder whose Ops fold in another way from a feature level on:
// Level tells it that of the cluster, in every Event that mounts it or takes the
// cluster further. Between those the level does not change.
type Leveled interface {
	Level(tx Tx, level uint64)
}

// Finder is a FileSystem whose files have ids: PathOf returns the present path
// of one, false once it is gone.
type Finder interface {
	PathOf(v View, file uint64) (Path, bool)
}

// Linker is a FileSystem with links of its own that finds them for less than a Stat
// costs: LinkOn returns the first link on the way to p, with final also one at its
// end; nil for none. It agrees with what Stat answers.
type Linker interface {
	LinkOn(v View, p Path, final bool) *LinkError
}

// Putter is a Device that takes a whole file as it comes: op is a Write that
// replaces the file, its bytes are in r, whose length is not known. Readers see
// the old content or the new; after an error, of r too, the old. Unsupported,
// before anything of r was read, asks for the bytes in pieces through Do.
type Putter interface {
	Put(ctx context.Context, op Op, r io.Reader) (Result, error)
}

// Streamer is a Device that reads on from an offset, all of it from one content
// of the file: that with the version that Stat told, 0 for any. Another one
// there is Stale. The caller closes the reader. Unsupported asks for ReadAt.
type Streamer interface {
	Stream(ctx context.Context, p Path, version uint64, off int64) (io.ReadCloser, error)
}

// Tuner is a Device with streams: Tune follows the one at p from a place on,
// "oldest", "now" or an offset, for as long as ctx lasts, and tells the offset
// of the first byte, -1 if that is not known. With Range it tells the oldest
// offset. Unsupported: p is no stream. The caller closes the reader; io.EOF is
// the end of the stream itself.
type Tuner interface {
	Tune(ctx context.Context, p Path, from string) (r io.ReadCloser, off int64, err error)
}

// Appender is a Device with files that only grow: whatever its offset, a Write to
// p puts bytes behind the end, and so does Put, piece by piece as they come.
// Appends reports whether p is such a file, or would be.
type Appender interface {
	Appends(p Path) bool
}

// Far passes every call on to the node that a mount lives on.
type Far interface {
	Device
	Putter
	Streamer
	Tuner
}

// Relayed is a Pinned Device that has its own say in what stands for it on other
// nodes: Relay, of one that is not started, returns that. far leads to where the
// mount lives. It is closed if it is an io.Closer.
type Relayed interface {
	Relay(far Far) FileSystem
}

// Keyer is a Device behind which idempotency keys are kept: that of a request is
// in its context, as [KeyOf] tells.
type Keyer interface {
	KeepsKeys() bool
}

// Starter is a Device that must be started; with io.Closer, stopped.
type Starter interface {
	Start(ctx context.Context) error
}

// Checker names a broken invariant of the state.
type Checker interface {
	Check(v View) error
}

// Placement says where a mount's operations run.
type Placement uint8

// The placements. Numbers are in the log: only append.
const (
	Replicated Placement = iota + 1 // folded from the log on every node
	Shared                          // an outside service that any node reaches
	Pinned                          // lives on one node; others forward there
	PerNode                         // each node answers for itself
)

// String returns the placement in lower case.
func (p Placement) String() string {
	switch p {
	case Replicated:
		return "replicated"
	case Shared:
		return "shared"
	case Pinned:
		return "pinned"
	case PerNode:
		return "per-node"
	}
	return "unknown"
}

// Chunks reads content beside the log.
type Chunks interface {
	// ReadChunk fills b from the slice ref, starting off bytes into it. A
	// chunk that this node lacks is fetched from another; bytes are verified.
	ReadChunk(ctx context.Context, ref ChunkRef, b []byte, off int64) error
}

// Env is what a plugin may use. A Folder gets Chunks only.
type Env struct {
	Chunks  Chunks
	Node    string        // the node's id
	Version string        // the server's version
	Cluster func() string // the id of the cluster, "" before it has one; nil for a Folder
	Log     *slog.Logger  // never nil for a Device
	DataDir string        // of the node, for a Device to keep away from; "": none
	Mount   Path          // where it is mounted
	Tree    Tree          // for a Device; nil: there is none
	Started func()        // hears of each process or instance that a Device starts; nil: nobody does
}

// Starts tells who hears of it that a process or an instance was started.
func (e Env) Starts() {
	if e.Started != nil {
		e.Started()
	}
}

// Tree is the whole tree, for a Device to read from.
type Tree interface {
	// Image returns the tree as this node has it now. The caller releases it,
	// soon.
	Image() Image
}

// Image is the tree at one moment; what is outside the log is read as it is. The
// methods are as those of [Table].
type Image interface {
	Lookup(ctx context.Context, verb string, p Path) (info Info, real Path, err error)
	Resolve(ctx context.Context, p Path, final bool) (Path, error)
	List(ctx context.Context, p Path, after string, limit int) ([]Info, error)
	ReadAt(ctx context.Context, p Path, b []byte, off int64) (int, error)
	Release()
}

// Param is one setting of a plugin.
type Param struct {
	Name        string
	Type        string // "string", "int", "bool", "size", "duration", "list", "map"
	Required    bool
	Default     string
	Description string
	Secret      bool
}

// Plugin is a kind of filesystem as a value.
type Plugin struct {
	Type   string // "queuefs"
	Doc    string // its README, shown at the mount and by /plugins
	Verbs  VerbSet
	Params []Param
	Open   bool   // takes settings that Params does not name: the plugin itself checks them
	Since  uint64 // the feature level that brought it; 0: always there
	File   bool   // what is mounted is one file, not a directory
	// Later tells of settings that a later feature level brought than the type:
	// that level, and what versions before it answer to them; 0 for others. nil:
	// there are none.
	Later func(Config) (since uint64, before error)
	Place func(Config) (Placement, error)
	New   func(Env, Config) (FileSystem, error) // no side effects
}

// SinceFor returns the feature level that brought the type and all of the
// settings.
func (p Plugin) SinceFor(c Config) uint64 {
	if p.Later == nil {
		return p.Since
	}
	since, _ := p.Later(c)
	return max(since, p.Since)
}
