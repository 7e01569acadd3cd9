package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/blob"
	"github.com/pfs-project/pfs/devices"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/raftlog"
	"github.com/pfs-project/pfs/secret"
	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/volume"
)

// Node is one running node. All its methods are safe for concurrent use.
type Node struct {
	c    Config
	id   string
	self *identity
	vol  *volume.Volume
	lock io.Closer

	bridge  *logBridge
	metrics *metrics
	plugins *pluginFigures
	secrets *secret.Box
	mux     *mux
	trust   *trust // nil without certificates
	refused *refusals
	roster  *roster
	peers   *peers
	desk    *desk
	book    book
	net     *network
	shots   *shots
	logs    *raftlog.Watched
	blobs   *blob.Store
	machine *fsm.Machine
	raft    *raft.Raft

	buffers  *buffers
	hashers  sync.Pool // of *blake3.Hasher
	chunkMem *budget
	callMem  *budget
	pack     *packer
	nudges   nudger
	reads    *rounds // of the leader: each asks a quorum
	asks     *rounds // of a follower: each asks the leader
	missing  *missing
	mounts   *fileMounts
	devices  *devices.Keeper
	apis     apis
	saves    saves
	membership
	reign   atomic.Pointer[reign]
	entries entryTimes
	crammed atomic.Bool  // this node leads, and refuses what takes space
	pacing  sync.Mutex   // held while the settings of raft change
	slow    bool         // to stand for leadership
	pulse   atomic.Int64 // last turn of the loops, Unix nanoseconds
	number  atomic.Uint32
	held    atomic.Bool               // it heard of a leader lately; see Holds
	looked  atomic.Pointer[time.Time] // when that was found out
	fresh   chan struct{}             // closed once reads see what was acknowledged before the start
	nonce   string                    // of this process
	sees    atomic.Pointer[[]string]  // nodes of no cluster, while this is one

	cancel  context.CancelFunc // ends the loops
	crew    crew               // of all that runs in the background
	gate    gate               // of calls from outside
	once    sync.Once
	stopErr error
	fatal   sync.Once
	failed  atomic.Pointer[error]
	muted   atomic.Bool // raft is; see ballot
}

// Start opens a node and lets it run; it returns before the node knows a
// leader, which Ready tells. The context bounds the opening alone. A node that
// cannot be opened, or whose directory is in use, is an error.
func Start(ctx context.Context, c Config) (*Node, error) {
	given := c.NodeID != ""
	if err := c.fill(); err != nil {
		return nil, err
	}
	n := &Node{c: c, fresh: make(chan struct{}), metrics: newMetrics(), secrets: &secret.Box{}, buffers: &buffers{}, chunkMem: newBudget(c.ChunkMemory),
		callMem: newBudget(callMemory), nonce: randomText(), bridge: newLogBridge(c.Log), refused: newRefusals(c.Log),
		membership: membership{managing: make(turn, 1), hashing: make(turn, 1), verifying: make(turn, 1), started: time.Now()}}
	n.roster = newRoster(n, c.alone)
	n.crew.catch = n.catch
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	n.cancel = cancel
	if err := n.tryOpen(life, given); err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("start node: %w", err), n.close())
	}
	return n, nil
}

// tryOpen is open with an error for a store that cannot be read.
func (n *Node) tryOpen(life context.Context, given bool) (err error) {
	defer func() {
		r := recover()
		if f, ok := r.(vfs.StoreFault); ok {
			err = spoils(n.c.Dir, f)
		} else if r != nil {
			panic(r)
		}
	}()
	return n.open(life, given)
}

func (n *Node) open(life context.Context, given bool) error {
	if err := store.MakeDir(n.c.disk.files, n.c.Dir); err != nil {
		return err
	}
	var err error
	if n.lock, err = n.c.disk.lock(n.c.Dir); err != nil {
		return err
	}
	if err := n.openVolume(); err != nil {
		return err
	}
	if n.self, err = openIdentity(n.c.disk.files, n.c.Dir, n.c.NodeID, given); err != nil {
		return err
	}
	n.id = n.self.card().Node
	if err := n.tellRecovered(); err != nil {
		return err
	}
	if err := n.useKey(); err != nil {
		return err
	}
	if err := n.openPort(); err != nil {
		return err
	}
	n.peers = newPeers(n.mux)
	n.peers.seen = n.metrics.called
	n.missing = newMissing(n)
	n.mounts = newFileMounts(n.c.Mounts)
	if err := n.openState(); err != nil {
		return err
	}
	if err := n.openLog(); err != nil {
		return err
	}
	n.pack = newPacker(n)
	n.nudges.n = n
	n.reads = newRounds(n.verifyRead)
	n.asks = newRounds(n.askLeader)
	n.desk = &desk{handlers: n.handlers(), catch: n.catch, up: &n.up, memory: n.callMem, buffers: n.buffers, log: n.c.Log, slow: n.c.Slow,
		roster: n.roster, refused: n.refused, lines: map[*line]struct{}{}}
	n.mux.calls, n.mux.rafts = n.desk.serve, n.serveRaft
	n.crew.spawn(func() { n.mux.serve(life) }) // others may ask, too, before they take part
	if err := n.checkCopy(life); err != nil {
		return err
	}
	if err := n.self.boot(); err != nil {
		return err
	}
	notify := make(chan bool, roleChanges)
	if err := n.openRaft(notify); err != nil {
		return err
	}
	n.up.Store(true)
	n.pulse.Store(time.Now().UnixNano())
	n.loops(life, notify)
	return nil
}

// openPort listens to the other nodes; none is heard yet.
func (n *Node) openPort() error {
	var err error
	if n.trust, err = openTrust(n.c.TLS, n.id, n.c.Log, n.metrics.reloads); err != nil {
		return err
	}
	if n.mux, err = listen(n.c, n.self); err != nil {
		return err
	}
	n.mux.trust, n.mux.refused, n.mux.roster = n.trust, n.refused, n.roster
	if n.c.port() == portPlain {
		n.c.Log.Warn("the node-to-node port is plain TCP: whoever reaches it can read and change everything", "address", n.mux.advertise)
	}
	return nil
}

func (n *Node) openState() error {
	var err error
	if err = n.c.disk.files.RemoveAll(filepath.Join(n.c.Dir, spoolDir)); err != nil {
		return err
	}
	if n.blobs, err = blob.Open(filepath.Join(n.c.Dir, blobDir), timedChunks{n.c.disk.chunks, n.vol}); err != nil {
		return err
	}
	n.machine, err = fsm.Open(fsm.Options{
		Dir:          filepath.Join(n.c.Dir, stateDir),
		StoreOptions: store.Options{FS: n.c.disk.files, Patient: n.vol.FS(n.c.disk.files), CacheBytes: n.c.CacheBytes},
		Plugins:      n.c.Plugins,
		Library:      n.c.Library,
		Env:          n.Env,
		Secrets:      n.secrets,
		Level:        n.c.level,
		OnChunks:     n.missing.add,
		OnRestore:    n.missing.rescan,
		OnMounts:     n.remounted,
		Log:          n.c.Log,
		Fatal:        n.fail,
	})
	if err != nil {
		return spoils(n.c.Dir, err)
	}
	n.plugins = newPluginFigures(n)
	n.devices = devices.New(devices.Config{Machine: n.machine, Node: n.id, Remote: n.elsewhere, Holds: n.Holds,
		Called: n.plugins.called, Log: n.c.Log})
	im := n.machine.Image()
	defer im.Release()
	if id := im.ClusterID(); id != "" && id != n.self.cluster() {
		return fmt.Errorf("the state is of cluster %s, but %s says %q", id, identityFile, n.self.cluster())
	}
	return nil
}

// remounted is told that the mount table has changed. It does not block.
func (n *Node) remounted() {
	n.mounts.changed()
	n.devices.Changed()
}

// Env is what a mount may use on this node.
func (n *Node) Env(m vfs.Mounted) vfs.Env {
	e := vfs.Env{Chunks: n, Node: n.id, Version: n.c.Version, Mount: m.Path}
	if m.Place != vfs.Replicated {
		e.Cluster, e.Started = n.self.cluster, func() { n.plugins.started(m) }
		e.Log, e.DataDir, e.Tree = n.c.Log.With("mount", string(m.Path)), n.c.Dir, whole{n.machine}
	}
	return e
}

// whole is the tree as Devices read it.
type whole struct{ m *fsm.Machine }

// Image returns the newest state.
func (w whole) Image() vfs.Image { return w.m.Image() }

// loops starts all that runs in the background, until life is cancelled.
func (n *Node) loops(life context.Context, notify <-chan bool) {
	for _, loop := range []func(context.Context){
		n.pack.run,
		func(ctx context.Context) { n.watchRole(ctx, notify) },
		n.watchLeader,
		n.watchVolume,
		n.keepLogShort,
		n.form,
		n.introduce,
		n.watchMembers,
		n.missing.run,
		n.beat,
		n.sweepFiles,
		n.scrub,
		n.scrubState,
		n.mountFiles,
		n.disown,
		n.watchCertificates,
		n.runDevices,
		n.hold,
		n.freshen,
	} {
		n.crew.spawn(func() { loop(life) })
	}
}

// watchCertificates reads the certificate files in when they change.
func (n *Node) watchCertificates(ctx context.Context) {
	if n.trust != nil {
		n.trust.watch(ctx, certsPoll)
	}
}

// ReloadCertificates reads the certificate files in now. On an error the node
// goes on with what it has. It does nothing without certificates.
func (n *Node) ReloadCertificates() error {
	if n.trust == nil {
		return nil
	}
	return n.trust.take(n.trust.look())
}

// catch ends the node if a goroutine met a fault of the store.
func (n *Node) catch() {
	r := recover()
	if f, ok := r.(vfs.StoreFault); ok {
		n.fail(f)
	} else if r != nil {
		panic(r)
	}
}

// Secrets returns what seals the settings of mounts on this node. It has its
// key once the node is in a cluster.
func (n *Node) Secrets() *secret.Box { return n.secrets }

// ID returns the node's name.
func (n *Node) ID() string { return n.id }

// Address returns what peers dial.
func (n *Node) Address() string { return n.mux.advertise }

// fail is told, from any goroutine, that the node cannot go on.
func (n *Node) fail(err error) {
	n.fatal.Do(func() {
		n.muted.Store(true) // before anybody can know that it has failed
		n.failed.Store(&err)
		n.gate.shut()
		n.c.Log.Error("node cannot go on", "error", err)
		if spoilt(err) {
			n.c.Log.Error(adviceDamaged, "dir", n.c.Dir)
		}
		go n.c.Fatal(err) // it may wait for who called this
	})
}

// Failed returns why the node cannot go on; nil while it can.
func (n *Node) Failed() error {
	if p := n.failed.Load(); p != nil {
		return *p
	}
	return nil
}
