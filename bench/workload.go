package bench

import (
	"context"
	"time"

	"github.com/pfs-project/pfs/bench/load"
	"github.com/pfs-project/pfs/bench/target"
)

// Workload is one kind of work that is measured.
type Workload struct {
	Name  string
	Doc   string // one line
	Quick bool   // among those that run when none is named
	// Single has one client, unless numbers of clients were asked for.
	Single bool
	// Alone needs nodes that it starts and stops itself.
	Alone bool
	// Case is the work against any target that has what it needs; nil where the
	// work needs more than a target's words.
	Case func(t target.Target, o Options) (Case, error)
	run  func(ctx context.Context, s *stage) error
}

// Options shape a load.
type Options struct {
	Clients int
	Warm    time.Duration
	For     time.Duration
	Rate    float64 // requests a second, open loop; 0: closed
	Rounds  int
	Size    int           // of a small value, bytes
	Keys    int           // of small reads
	Large   int64         // bytes of a large file
	Entries int           // of a large directory
	Mounts  int           // to look one up among
	State   int64         // bytes to recover
	Counts  []int         // of keys, rising, for scale
	Idle    time.Duration // a node has nothing to do, for footprint
	// Connections to hold open, for footprint.
	Connections int
	// Usage is what client and servers have used, as Meter tells; nil: not asked.
	Usage func() load.Usage `json:"-"`
}

// Spec is a closed or open load of these options; bytes are those of a request.
func (o Options) Spec(name string, bytes int64, op load.Op) load.Spec {
	return load.Spec{Name: name, Clients: o.Clients, Warm: o.Warm, For: o.For, Rate: o.Rate, Bytes: bytes, Op: op, Usage: o.Usage}
}

// Workloads are all of them, in the order that a list shows.
func Workloads() []Workload {
	return []Workload{
		{Name: "put", Doc: "small durable writes, each client to 64 keys of its own; all read back", Quick: true, Case: putCase},
		{Name: "put-hot", Doc: "small durable writes of one key by all clients", Case: putKeys("put-hot", hot)},
		{Name: "put-uniform", Doc: "small durable writes, all keys alike, of all clients", Case: putKeys("put-uniform", uniform)},
		{Name: "put-zipf", Doc: "small durable writes, a few keys most of the time", Case: putKeys("put-zipf", zipf)},
		{Name: "get", Doc: "small reads of one key", Quick: true, Case: getCase("get", hot)},
		{Name: "get-uniform", Doc: "small reads, all keys alike", Case: getCase("get-uniform", uniform)},
		{Name: "get-zipf", Doc: "small reads, a few keys most of the time", Case: getCase("get-zipf", zipf)},
		{Name: "mixed", Doc: "nine reads of any key for each durable write", Case: mixedCase},
		{Name: "queue", Doc: "enqueue one message and dequeue one; none lost, none twice", Quick: true, Case: queueCase},
		{Name: "upload", Doc: "a large file in; read back and compared", Quick: true, Single: true, Case: uploadCase},
		{Name: "download", Doc: "a large file out", Quick: true, Single: true, Case: downloadCase},
		{Name: "range", Doc: "64 KiB at random places of a large file", run: ranges},
		{Name: "cas", Doc: "conditional writes, each over the version that the last one made (If-Match)", run: conditional},
		{Name: "contended", Doc: "one number that all clients add to by conditional writes; a write that comes too late is made again", run: contended},
		{Name: "meta", Doc: "create, stat, list and delete, in a directory of each client's own", run: metadata},
		{Name: "dir", Doc: "pages of 1,000 entries of a directory of many", run: directory},
		{Name: "append", Doc: "lines added to a log of each client's own; counted at the end", run: appendLog},
		{Name: "take", Doc: "enqueue, take with a lease, and ack; none lost, none twice", run: takeAck},
		{Name: "stream", Doc: "one writer of a stream, every other client a reader; until all have it", run: fanOut},
		{Name: "grep", Doc: "a word in a tree of 1,000 files; every line found", run: grepTree},
		{Name: "mounts", Doc: "small reads with many mounts (--mounts), and with one", run: manyMounts},
		{Name: "fresh", Doc: "linearizable reads beside local ones, on the leader and on a follower", run: freshReads},
		{Name: "scale", Doc: "reads, writes, memory and restart as the number of keys grows (--keys)", Alone: true, run: scale},
		{Name: "footprint", Doc: "memory of an idle node and with many connections (--connections); the program's length", Single: true, Alone: true, run: footprint},
		{Name: "recovery", Doc: "restart after a stop and after a kill with state of --state bytes; a follower catches up", Single: true, Alone: true, run: recovery},
	}
}
