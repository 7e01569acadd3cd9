package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pfs-project/pfs/api"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/cluster"
	"github.com/pfs-project/pfs/configs"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/plugins"
	"github.com/pfs-project/pfs/vfs"
)

// Exit codes of the server; scripts rely on them.
const (
	exitOK      = 0
	exitFailure = 1 // could not start
	exitUsage   = 2 // command line or configuration
	exitDir     = 3 // the data directory is not one to run in
	exitLocked  = 4 // another process has the data directory
	exitFault   = 5 // a disk or store fault
)

// stopWithin bounds a graceful stop.
const stopWithin = 10 * time.Second

// Main runs a node until ctx ends, and returns the exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := readOptions(args, os.Getenv, stderr)
	switch {
	case isHelp(err):
		return exitOK
	case err != nil:
		fmt.Fprintln(stderr, "pfs-server:", err)
		return exitUsage
	case o.version:
		printVersion(stdout)
		return exitOK
	case o.printSample:
		fmt.Fprint(stdout, configs.Sample)
		return exitOK
	}
	n, err := start(ctx, o, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "pfs-server:", err)
		return startCode(err)
	}
	n.banner(stdout)
	return n.run(ctx)
}

func startCode(err error) int {
	var c configError
	var cc *cluster.ConfigError
	switch {
	case errors.As(err, &c), errors.As(err, &cc):
		return exitUsage
	case errors.Is(err, cluster.ErrDamaged):
		return exitFault
	case errors.Is(err, cluster.ErrLocked):
		return exitLocked
	case errors.Is(err, cluster.ErrDirectory):
		return exitDir
	}
	return exitFailure
}

// configError is a mistake in the configuration that only starting shows.
type configError struct{ error }

// node is everything that runs.
type node struct {
	config   Config
	log      *slog.Logger
	cluster  *cluster.Node
	api      *api.Server
	listener net.Listener
	admin    *http.Server // nil: none
	adminAt  net.Addr
	figures  *figures
	served   chan error
	fault    chan error
	files    *client.Client // of this node itself
	backups  *schedule      // nil: none are made
	jobs     sync.WaitGroup
	manager  *supervisor
	external *libraries // nil: third-party plugins are off
	endJobs  context.CancelFunc
}

// start starts the node's parts; what it started is stopped again on an error.
func start(ctx context.Context, o options, stderr io.Writer) (*node, error) {
	lvl, err := level(o.config.Server.LogLevel)
	if err != nil {
		return nil, configError{err}
	}
	n := &node{config: o.config, log: newLogger(stderr, lvl, o.config.Server.LogFormat), figures: &figures{}, served: make(chan error, 1), fault: make(chan error, 1)}
	traffic := &traffic{}
	builtin := plugins.Builtin(traffic)
	mounts, err := fileMounts(o.config, o.file != "", builtin)
	if err != nil {
		return nil, configError{err}
	}
	if n.listener, err = net.Listen("tcp", o.config.Server.Address); err != nil {
		return nil, fmt.Errorf("server.address: %w", err)
	}
	if n.files, err = ownFiles(n.listener.Addr()); err != nil {
		return nil, errors.Join(err, n.listener.Close())
	}
	if n.external, err = openLibraries(o.config, n.files, n.log); err != nil {
		return nil, errors.Join(fmt.Errorf("external_plugins: %w", err), n.listener.Close())
	}
	agents, err := openAgents(o.config.MCP, n.files, n.log)
	if err != nil {
		return nil, errors.Join(configError{err}, n.listener.Close())
	}
	if n.cluster, err = cluster.Start(ctx, n.clusterConfig(builtin, mounts)); err != nil {
		n.listener.Close()
		return nil, err
	}
	n.planBackups()
	n.api = api.New(n.apiConfig(builtin, agents))
	traffic.api.Store(n.api)
	n.figures.set(n.api.Metrics())
	if err = n.openAdmin(); err != nil {
		n.listener.Close()
		return nil, errors.Join(err, n.cluster.Stop(ctx))
	}
	go func() { n.served <- n.api.Serve(n.listener) }()
	jobs, end := context.WithCancel(context.WithoutCancel(ctx))
	n.endJobs = end
	n.manager = findSupervisor(os.Getenv, os.Getpid(), n.log)
	n.jobs.Go(func() { n.manager.follow(jobs, n.cluster.Alive, n.cluster.Serves) })
	ship := newShipping(n.cluster, n.files, n.log)
	n.jobs.Go(func() { ship.run(jobs) })
	if n.external != nil && n.config.External.AutoLoad {
		n.jobs.Go(func() { n.external.autoLoad(jobs, n.files, n.log) })
	}
	if n.backups != nil {
		n.jobs.Go(func() { n.backups.run(jobs) })
	}
	return n, nil
}

// planBackups makes the schedule that the configuration asks for, if it does.
func (n *node) planBackups() {
	b := n.config.Server.Backup
	every, _ := b.interval() // checked when it was read
	if every == 0 {
		return
	}
	var to target = dirTarget{b.Dir, n.cluster.ID()}
	if dir, ok := strings.CutPrefix(b.Dir, mountPrefix); ok {
		to = mountTarget{dir, n.cluster.Image, n.files}
	}
	n.backups = newSchedule(n.cluster, to, every, b.Keep, n.log)
}

func (n *node) clusterConfig(builtin []vfs.Plugin, mounts []fsm.FileMount) cluster.Config {
	c := n.config.Cluster
	grace, _ := n.config.chunkGrace() // checked when they were read
	slow, _ := n.config.slow()
	reserve, _ := n.config.diskReserve()
	snapshot, _ := n.config.maxSnapshot()
	rate, _ := n.config.snapshotRate()
	cc := cluster.Config{
		NodeID: c.NodeID, Dir: n.config.Server.DataDir,
		Address: c.RaftAddress, Advertise: c.RaftAdvertise, HTTP: c.HTTPAdvertise,
		Expect: c.BootstrapExpect, Join: c.Join, NonVoter: c.NonVoter,
		LogStore: c.LogStore, ChunkGrace: grace, DiskReserve: reserve, Plugins: builtin, Version: version, Slow: slow,
		TLS: cluster.TLSFiles{CA: c.TLSCA, Cert: c.TLSCert, Key: c.TLSKey}, Plaintext: c.Plaintext,
		MaxSnapshot: snapshot, SnapshotRate: rate, CacheBytes: n.budgetMemory(),
		Mounts: mounts, Log: n.log, Fatal: n.fatal,
	}
	if n.external != nil {
		cc.Library, cc.Runs = n.external.Plugin, n.external.Kinds
	}
	if cc.HTTP == "" {
		cc.HTTP = baseURL(n.listener.Addr())
	}
	return cc
}

func (n *node) apiConfig(builtin []vfs.Plugin, agents http.Handler) api.Config {
	slow, _ := n.config.slow() // checked when it was read
	c := api.Config{
		Slow: slow, Alive: n.cluster.Alive, Serves: n.cluster.Serves,
		Node: n.cluster, Backups: n.cluster, Plugins: builtin,
		Env:       n.cluster.Env,
		ClusterID: n.cluster.ClusterID,
		Secrets:   n.cluster.Secrets(),
		Cluster:   members{n.cluster},
		MCP:       agents,
		Metrics:   n.registry(), MaxBody: n.config.Server.MaxBody,
		Version: version, Commit: commit(), BuildTime: buildTime, Log: n.log, Fatal: n.fatal,
	}
	if n.external != nil {
		c.Libraries = n.external
	}
	return c
}

// traffic is what the API has moved; the plugins are made before the API.
type traffic struct{ api atomic.Pointer[api.Server] }

// Totals returns the bytes that came in from clients and went out to them.
func (t *traffic) Totals() (in, out int64) {
	if s := t.api.Load(); s != nil {
		return s.Totals()
	}
	return 0, 0
}

// fatal is told of a fault that the node must not outlive.
func (n *node) fatal(err error) {
	select {
	case n.fault <- err:
	default: // the first one ends the node
	}
}

// reloads reads the certificates in at each SIGHUP, until end.
func (n *node) reloads() (end func()) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range hup {
			if err := n.cluster.ReloadCertificates(); err != nil {
				n.log.Error("node certificates are not replaced", "error", err)
			}
		}
	}()
	return func() {
		signal.Stop(hup)
		close(hup)
		<-done
	}
}

// run waits for the end and stops the parts in order: no new requests, then
// the requests in flight, then the cluster node.
func (n *node) run(ctx context.Context) int {
	code := exitOK
	defer n.reloads()()
	select {
	case <-ctx.Done():
		n.log.Info("stopping")
	case err := <-n.served:
		n.log.Error("the API stopped", "error", err)
		code = exitFailure
	case err := <-n.fault:
		// a store that failed must not be flushed: leave it to the log
		n.log.Error("fault: this node stops rather than guess", "error", err)
		if errors.Is(err, cluster.ErrDirectory) {
			return exitDir
		}
		return exitFault
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	n.manager.stopping()
	n.endJobs()
	if err := n.api.Shutdown(within); err != nil {
		n.log.Warn("requests were cut off", "error", err)
	}
	n.figures.set(nil)
	n.closeAdmin()
	n.jobs.Wait()
	if err := n.cluster.Stop(within); err != nil {
		n.log.Error("stopping", "error", err)
		return exitFailure
	}
	if err := n.external.close(within); err != nil {
		n.log.Warn("compiled plugins are not freed", "error", err)
	}
	return code
}
