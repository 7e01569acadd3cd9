package devices

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// Machine is the mount table as this node has it.
type Machine interface {
	// Mounts returns the mounts with what this node has of each.
	Mounts() []vfs.Mounted
	// NewFS makes the filesystem of a mount; it is not started.
	NewFS(m vfs.Mounted) (vfs.FileSystem, error)
	// SetFS puts a Device up, or down for a reason. false: there is no such
	// mount any more, or it was mounted anew.
	SetFS(m vfs.Mounted, fs vfs.FileSystem, err error) bool
}

// Config says what a Keeper keeps.
type Config struct {
	Machine Machine
	Node    string // the name of this node
	// Remote returns what stands here for a Pinned mount that lives on another
	// node.
	Remote func(m vfs.Mounted) vfs.FileSystem
	// Holds reports whether mounts that roam may run here. nil: always.
	Holds func() bool
	// Called hears of every call of a Device that has ended. nil: nobody does.
	Called func(m vfs.Mounted, took time.Duration, err error)
	Log    *slog.Logger
}

const (
	startTime  = 30 * time.Second // for one try to start
	firstRetry = time.Second
	lastRetry  = time.Minute
	closeTime  = 10 * time.Second // for calls under way, when a mount goes
	holdTime   = 5 * time.Second  // in which a node that was just started may run what roams
	stopTime   = 2 * closeTime    // for all of them, when the node stops
)

// Keeper brings what runs on this node in line with the mount table.
type Keeper struct {
	c    Config
	made time.Time
	wake chan struct{}
	wg   sync.WaitGroup // starts and ends under way

	mu   sync.Mutex
	runs map[uint64]*run // by mount id
}

// run is what this node has of one mount.
type run struct {
	mount vfs.Mounted
	host  *host              // nil while it is not up
	busy  bool               // being started
	stop  context.CancelFunc // of that start
	cut   bool               // it was ended, or never begun, where it may not run
	fails int
	again time.Time
}

// New returns a Keeper that does nothing before Run.
func New(c Config) *Keeper {
	return &Keeper{c: c, made: time.Now(), wake: make(chan struct{}, 1), runs: map[uint64]*run{}}
}

// Changed is told that the mount table has changed. It does not block.
func (k *Keeper) Changed() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Run keeps the Devices until ctx ends, and then ends them all.
func (k *Keeper) Run(ctx context.Context) {
	t := time.NewTicker(firstRetry / 2)
	defer t.Stop()
	for ctx.Err() == nil {
		k.look(ctx)
		select {
		case <-k.wake:
		case <-t.C:
		case <-ctx.Done():
		}
	}
	k.mu.Lock()
	for id, r := range k.runs {
		k.end(r, closeTime)
		delete(k.runs, id)
	}
	k.mu.Unlock()
	ended := make(chan struct{})
	go func() { defer close(ended); k.wg.Wait() }()
	select {
	case <-ended:
	case <-time.After(stopTime): // in the hands of the system: nothing ends it
		k.c.Log.Error("mounts do not end")
	}
}

// look compares what runs with the table.
func (k *Keeper) look(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	wanted := map[uint64]bool{}
	for _, m := range k.c.Machine.Mounts() {
		r := k.runs[m.ID]
		if m.Place == vfs.Replicated || r == nil && m.FS != nil {
			continue // the log folds it, or it needs no start
		}
		wanted[m.ID] = true
		switch {
		case r == nil || r.mount.Seq != m.Seq:
			if r != nil {
				k.end(r, patience(r.mount, m))
			}
			r = &run{mount: m}
			k.runs[m.ID] = r
			if !k.holds(m) {
				k.drop(r)
				continue
			}
		case !k.holds(m):
			k.drop(r)
			continue
		case r.busy || r.host != nil || time.Now().Before(r.again):
			continue
		}
		k.begin(ctx, r)
	}
	for id, r := range k.runs {
		if !wanted[id] {
			k.end(r, closeTime)
			delete(k.runs, id)
		}
	}
}

// patience is what the calls of a mount have once another is in its place: none
// where that is the same one, on the node that it has moved to.
func patience(old, now vfs.Mounted) time.Duration {
	if old.Roams && now.Node != old.Node {
		return 0
	}
	return closeTime
}

// holds reports whether a mount may run here now.
func (k *Keeper) holds(m vfs.Mounted) bool {
	return !m.Roams || m.Node != k.c.Node || k.c.Holds == nil || k.c.Holds()
}

// errCutOff is why a mount is down on a node that may no longer have it.
var errCutOff = vfs.Unavailable.With("this node hears of no leader: the mount may have moved")

// drop ends what r is of, its start and its calls at once, until it may run here
// again. The caller holds mu.
func (k *Keeper) drop(r *run) {
	if r.cut || r.host == nil && !r.busy && time.Since(k.made) < holdTime {
		return // the last: those who ask wait for its start
	}
	k.end(r, 0)
	r.cut, r.host, r.fails, r.again = true, nil, 0, time.Time{}
	k.c.Machine.SetFS(r.mount, nil, &vfs.Down{Cause: errCutOff, Tries: 1})
}

// begin starts what r is of. The caller holds mu.
func (k *Keeper) begin(ctx context.Context, r *run) {
	if r.mount.Place == vfs.Pinned && r.mount.Node != k.c.Node {
		r.host = newHost(r.mount, k.c.Remote(r.mount), k.c)
		k.c.Machine.SetFS(r.mount, r.host, nil)
		return
	}
	ctx, r.stop = context.WithCancel(ctx)
	r.busy, r.cut = true, false
	if r.fails == 0 {
		k.c.Machine.SetFS(r.mount, nil, &vfs.Down{Cause: vfs.ErrStarting})
	}
	k.wg.Go(func() {
		h, err := k.start(ctx, r.mount)
		k.started(r, h, err)
	})
}

// start makes and starts a Device.
func (k *Keeper) start(ctx context.Context, m vfs.Mounted) (h *host, err error) {
	defer func() {
		if p := recover(); p != nil {
			h, err = nil, (&host{mount: m, c: k.c}).caught(p)
		}
	}()
	fs, err := k.c.Machine.NewFS(m)
	if err != nil {
		return nil, err
	}
	h = newHost(m, fs, k.c)
	st, ok := fs.(vfs.Starter)
	if !ok {
		return h, nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := st.Start(ctx); err != nil {
		return nil, errors.Join(err, closeFS(fs))
	}
	return h, nil
}

// started notes how a start has ended.
func (k *Keeper) started(r *run, h *host, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r.stop()
	r.busy = false
	cut := r.cut || !k.holds(r.mount)
	if k.runs[r.mount.ID] != r || cut { // unmounted meanwhile, or moved
		if h != nil {
			k.wg.Go(func() { h.end(0) })
		}
		if k.runs[r.mount.ID] == r {
			k.drop(r)
			k.Changed() // it may run again
		}
		return
	}
	if err != nil {
		wait := min(firstRetry<<min(r.fails, 10), lastRetry)
		r.again = time.Now().Add(wait/2 + rand.N(wait/2+1))
		if r.fails++; r.fails == 1 {
			k.c.Log.Warn("mount does not start", "path", string(r.mount.Path), "type", r.mount.Type, "error", err)
		}
		k.c.Machine.SetFS(r.mount, nil, &vfs.Down{Cause: err, Tries: r.fails, Retry: r.again})
		return
	}
	if r.fails > 0 {
		k.c.Log.Info("mount has started", "path", string(r.mount.Path), "type", r.mount.Type)
	}
	r.host, r.fails = h, 0
	k.c.Machine.SetFS(r.mount, h, nil)
}

// end ends what r is of, its start at once and its calls within patience, in the
// background. The caller holds mu.
func (k *Keeper) end(r *run, patience time.Duration) {
	if r.busy {
		r.stop()
	}
	if h := r.host; h != nil {
		k.wg.Go(func() { h.end(patience) })
	}
}

func closeFS(fs vfs.FileSystem) error {
	if c, ok := fs.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
