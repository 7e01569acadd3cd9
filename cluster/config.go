package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/pfs-project/pfs/blob"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
)

// Config says who a node is, where it lives and with whom. Zero values of all
// fields but Dir and Address have defaults.
type Config struct {
	NodeID    string   // stable name; "": the one in Dir, or the host's name
	Dir       string   // all durable state of the node
	Address   string   // host:port that the node-to-node port listens on
	Advertise string   // host:port that peers dial; "": the address listened on
	HTTP      string   // base URL of the node's API as others see it
	Expect    int      // how many nodes of Join form a new cluster; 0 means 1
	Join      []string // node-to-node addresses of peers; may name this node too
	NonVoter  bool     // joins as a read replica
	LogStore  string   // raftlog.Bolt or raftlog.Pebble; "": what the directory has, pebble if it is new
	Plugins   []vfs.Plugin
	Runs      func() []string              // the kinds of third-party plugins that this node runs now; nil: none
	Library   func(vfs.Library) vfs.Plugin // makes a third-party plugin of what the log knows of it; nil: none run
	Version   string                       // of the server, for plugins
	Mounts    []fsm.FileMount              // what the configuration file mounts

	// ChunkGrace is how long a chunk that nothing refers to is kept; 0 for
	// ten minutes.
	ChunkGrace time.Duration
	// ChunkMemory bounds the bytes of chunks in memory on their way in; 0 for
	// 128 MiB.
	ChunkMemory int64
	// CacheBytes bounds the caches of the store, of blocks and of rows; 0 for
	// the store's default.
	CacheBytes int64
	// Election is how long a follower waits for a leader before it stands; 0
	// for 500 ms. A leader that reaches no quorum for half of it steps down.
	Election time.Duration
	// DiskReserve is how many bytes of the disk under Dir are to stay free:
	// with less, the node takes no new content. 0 for a twentieth of the disk,
	// at least 48 MiB and at most 1 GiB.
	DiskReserve int64

	// Slow is from when on a call of another node, for a request of its client,
	// is logged as slow; 0 for never.
	Slow time.Duration
	// TLS secures the node-to-node port. Without it the port must be on
	// loopback, or Plaintext asked for by name.
	TLS       TLSFiles
	Plaintext bool
	// MaxSnapshot is the longest snapshot that the node takes from a leader, in
	// bytes; 0 for 512 GiB.
	MaxSnapshot int64

	// SnapshotRate is how many bytes a second other nodes are sent of
	// snapshots, and how many of content are fetched in the background; 0 for
	// 64 MiB.
	SnapshotRate int64

	Log *slog.Logger // nil: nowhere
	// Fatal hears, once, that the node cannot go on: a store or the log has
	// failed. It must end the process; nil panics.
	Fatal func(error)

	// hold is for how long a node that hears of no leader keeps what roams; 0 for
	// holdTime.
	hold time.Duration
	// patience is how long a leader is looked for; 0 for retryTime.
	patience time.Duration
	// trailing is how many entries raft keeps behind a snapshot; 0 for
	// trailingLogs.
	trailing uint64
	// noForget leaves out installs.forget; tests show what it is for.
	noForget bool
	// logNew and logKept are how many bytes the log may grow by before a
	// snapshot, and how many it keeps behind one; 0 for the constants.
	logNew, logKept int64
	// warnAfter is for how long a member may be unreachable before the leader
	// warns; 0 for silentLong.
	warnAfter time.Duration
	// loadLife is how long a restore may show no sign of life; 0 for loadLife.
	loadLife time.Duration
	// level is the newest feature level that is known; 0 for that of this
	// version.
	level uint64
	// alone is how long a node waits for word of the others before it takes
	// what an unknown one brings; 0 for aloneTime.
	alone time.Duration
	// slow is how long a request of raft may pause on its way in; 0 for
	// requestTime.
	slow time.Duration
	// snapshots is how many entries bring about a snapshot; 0 for
	// snapThreshold.
	snapshots uint64
	// dial replaces the network in tests.
	dial   func(ctx context.Context, address string) (net.Conn, error)
	listen func(address string) (net.Listener, error)
	// disk replaces the disk in tests.
	disk disk
	// usage replaces the free space of the disk in tests.
	usage func() (total, free int64, err error)
	// clock stamps Events; tests let it step.
	clock func() time.Time
}

// disk is what a node keeps its state on, as its parts see it.
type disk struct {
	files  store.FS
	chunks blob.FS
	lock   func(dir string) (io.Closer, error)
}

// The bounds of a node.
const (
	defaultGrace    = 10 * time.Minute
	defaultElection = 500 * time.Millisecond
	defaultChunkMem = 128 << 20
	defaultRate     = 64 << 20
	defaultSnapshot = 512 << 30

	proposeTime = 9 * time.Second         // a proposal, from first to last
	retryTime   = 8 * time.Second         // of which a leader is looked for
	readTime    = 4500 * time.Millisecond // a linearizable read
	askTime     = 1500 * time.Millisecond // one question to the leader
	waitTime    = 5 * time.Second         // a read that waits for an index
	retryPause  = 20 * time.Millisecond
	maxLag      = 1000 // entries behind which a node is not ready
)

func (c *Config) fill() error {
	if c.Dir == "" || c.Address == "" {
		return errors.New("a node needs a directory and an address")
	}
	if c.NodeID == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("name this node: %w", err)
		}
		c.NodeID = host
	}
	if len(c.NodeID) > maxID {
		return fmt.Errorf("node id is longer than %d bytes", maxID)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Fatal == nil {
		c.Fatal = func(err error) { panic(err) }
	}
	if c.dial == nil {
		c.dial = dialTCP
	}
	if c.listen == nil {
		c.listen = listenTCP
	}
	if c.disk.files == nil {
		c.disk = disk{store.Disk(), blob.Disk{}, lockDir}
	}
	if c.clock == nil {
		c.clock = wallClock(c.NodeID)
	}
	c.Expect = max(c.Expect, 1)
	c.hold = orDefault(c.hold, holdTime)
	c.patience = orDefault(c.patience, retryTime)
	c.warnAfter = orDefault(c.warnAfter, silentLong)
	c.loadLife = orDefault(c.loadLife, loadLife)
	c.level = orDefault(c.level, fsm.Level)
	c.trailing = orDefault(c.trailing, trailingLogs)
	c.SnapshotRate = orDefault(c.SnapshotRate, defaultRate)
	c.logNew = orDefault(c.logNew, logNew)
	c.logKept = orDefault(c.logKept, logKept)
	c.snapshots = orDefault(c.snapshots, snapThreshold)
	c.ChunkGrace = orDefault(c.ChunkGrace, defaultGrace)
	c.Election = orDefault(c.Election, defaultElection)
	c.ChunkMemory = orDefault(c.ChunkMemory, defaultChunkMem)
	c.MaxSnapshot = orDefault(c.MaxSnapshot, defaultSnapshot)
	c.alone = orDefault(c.alone, aloneTime)
	c.slow = orDefault(c.slow, requestTime)
	return c.checkPlain()
}

// ConfigError is a setting with which no node could run.
type ConfigError struct{ error }

// Unwrap returns what is wrong.
func (e *ConfigError) Unwrap() error { return e.error }

// checkPlain refuses a port of plain TCP that others can reach, unless that was
// asked for.
func (c *Config) checkPlain() error {
	if c.Plaintext || c.TLS != (TLSFiles{}) {
		return nil
	}
	for _, address := range []string{c.Address, c.Advertise} {
		if address != "" && !loopback(address) {
			return &ConfigError{fmt.Errorf("the node-to-node port %s is not on loopback and has no certificates: make them with "+
				"`pfs cluster init-certs` and set cluster.tls_ca, tls_cert and tls_key; or, on a network that only nodes can reach, set cluster.plaintext", address)}
		}
	}
	return nil
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// How the node-to-node port is secured, as Status tells it.
const (
	portTLS      = "tls"
	portLoopback = "loopback"
	portPlain    = "plaintext"
)

func (c *Config) port() string {
	switch {
	case c.TLS != (TLSFiles{}):
		return portTLS
	case c.Plaintext && !(loopback(c.Address) && (c.Advertise == "" || loopback(c.Advertise))):
		return portPlain
	}
	return portLoopback
}

func orDefault[T int64 | uint64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}
