package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

const (
	mountEvery = 200 * time.Millisecond
	mountRetry = 5 * time.Second // after an answer that will hardly change
	// mountPatience is for how long a node that has just started holds back that it
	// serves, for mounts that nobody has answered yet: a member may be away that
	// has never said what it knows.
	mountPatience = 15 * time.Second
)

// MountState is how one mount of the configuration file fares.
type MountState string

// The states of a configured mount.
const (
	MountPending  MountState = "pending"   // not asked for yet, or it failed and is retried
	MountUp       MountState = "up"        // as the file says
	MountDown     MountState = "down"      // mounted, but not up on this node
	MountConflict MountState = "conflict"  // something else is mounted there
	MountRemoved  MountState = "unmounted" // by request; it stays so
)

// fileMounts is the mounts of the configuration file and how they fare.
type fileMounts struct {
	list []fsm.FileMount
	wake chan struct{}

	mu     sync.Mutex
	states []MountState
	errs   []error
	again  []time.Time
	from   time.Time // when they were looked at first; zero: never
	begun  bool      // all have been asked for, or patience is over
}

func newFileMounts(list []fsm.FileMount) *fileMounts {
	f := &fileMounts{list: list, wake: make(chan struct{}, 1), states: make([]MountState, len(list)),
		errs: make([]error, len(list)), again: make([]time.Time, len(list))}
	for i := range f.states {
		f.states[i] = MountPending
	}
	return f
}

// changed is told that the mount table has changed. It does not block.
func (f *fileMounts) changed() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// set notes a state; next is for how long nothing is proposed.
func (f *fileMounts) set(i int, s MountState, err error, next time.Duration) (news bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	news = f.states[i] != s
	f.states[i], f.errs[i], f.again[i] = s, err, time.Now().Add(next)
	return news
}

func (f *fileMounts) due(i int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().After(f.again[i])
}

// Mounts returns the state of every mount that the configuration file asks
// for, by path.
func (n *Node) Mounts() map[vfs.Path]MountState {
	f := n.mounts
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[vfs.Path]MountState, len(f.list))
	for i, m := range f.list {
		out[m.Path] = f.states[i]
	}
	return out
}

// errLater is why a mount is pending whose type the cluster does not use yet.
var errLater = errors.New("waits until every member runs a version that knows its type")

// errNotLoaded is why a mount of a third-party plugin is pending that nobody has
// loaded.
var errNotLoaded = errors.New("no such plugin is loaded")

// errNotYet is why a mount is pending that the log has not answered: the cluster is
// about to be able to.
var errNotYet = errors.New("not asked for yet")

// start returns whether all mounts have been asked for, since when the node tries.
// It is so for good: what becomes of a mount later is no matter of it.
func (f *fileMounts) start() (begun bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.from.IsZero() {
		f.from = time.Now()
	}
	f.begun = f.over() || f.unasked() < 0
	return f.begun
}

// over reports whether nobody waits for the mounts to be asked for any more.
func (f *fileMounts) over() bool {
	return f.begun || !f.from.IsZero() && time.Since(f.from) > mountPatience
}

// unasked returns the first mount that is not in the table and has no reason for it;
// -1 if there is none.
func (f *fileMounts) unasked() int {
	for i, s := range f.states {
		if s == MountPending && (f.errs[i] == nil || errors.Is(f.errs[i], errNotYet)) {
			return i
		}
	}
	return -1
}

// asked returns nil once every configured mount is in the table or it is known why
// not, and from then on: a mount that fails takes no node out of service. A node
// that has just been started for the first time would show an empty tree before.
func (f *fileMounts) asked() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.unasked(); i >= 0 && !f.over() {
		return f.unsettled(i)
	}
	return nil
}

// unsettled says how a mount is that is not up.
func (f *fileMounts) unsettled(i int) error {
	if f.errs[i] != nil {
		return fmt.Errorf("mount %s is %s: %w", f.list[i].Path, f.states[i], f.errs[i])
	}
	return fmt.Errorf("mount %s is %s", f.list[i].Path, f.states[i])
}

// settled returns nil once every configured mount is up, unless somebody
// wanted it otherwise. In a cluster that is upgraded node by node it does not
// wait for types that older members do not know: they are replaced only once
// this node is ready. Nor does it wait for plugins that are not loaded: the
// request that loads one comes to nodes that are ready.
func (f *fileMounts) settled() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, s := range f.states {
		if (s == MountPending || s == MountDown) && !errors.Is(f.errs[i], errLater) && !errors.Is(f.errs[i], errNotLoaded) {
			return f.unsettled(i)
		}
	}
	return nil
}

// mountFiles has the log mount what the configuration file asks for.
func (n *Node) mountFiles(ctx context.Context) {
	if len(n.mounts.list) == 0 {
		return
	}
	t := time.NewTicker(mountEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-n.mounts.wake:
		case <-ctx.Done():
			return
		}
		if _, id := n.raft.LeaderWithID(); id == "" || n.machine.Loading() { // it would be refused
			continue
		}
		n.mounts.start()
		behind := n.lag() > 0
		for i, m := range n.mounts.list {
			n.mountFile(ctx, i, m, behind)
		}
		n.mounts.start()
	}
}

// mountFile looks after one mount. A node that is behind believes its table only as
// far as the mount is there: under writes it is always a moment behind.
func (n *Node) mountFile(ctx context.Context, i int, m fsm.FileMount, behind bool) {
	var err error
	if m.Config, err = n.secrets.Seal(n.plugin(m.Type), m.Config); err != nil {
		n.mounts.set(i, MountPending, err, mountEvery)
		return
	}
	s, err := n.mounted(m)
	if behind && s != MountUp {
		return
	}
	if s != MountPending {
		if n.mounts.set(i, s, err, 0) && s == MountConflict {
			n.c.Log.Warn("another mount is where the file wants one", "path", string(m.Path), "type", m.Type)
		}
		return
	}
	if !n.mounts.due(i) {
		return
	}
	if n.plugin(m.Type).Type == "" && !n.loaded(m.Type) {
		n.mounts.set(i, MountPending, fmt.Errorf("%w: %s", errNotLoaded, m.Type), mountEvery)
		return
	}
	if since, level := n.plugin(m.Type).SinceFor(m.Config), n.level(); since > level { // it would be refused
		n.mounts.set(i, MountPending, n.tooEarly(since, level), mountEvery)
		return
	}
	if m.Node == "" {
		m.Node, m.Roams = n.homeOf(m), true // of what is compiled in nothing roams
	}
	out, err := n.propose(ctx, vfs.Request{Ops: []vfs.Op{m.Op(n.plugin(m.Type).Doc)}})
	switch {
	case err != nil:
		n.mounts.set(i, MountPending, fmt.Errorf("%w: %w", errNotYet, err), mountEvery)
	case vfs.KindOf(out.Err) == vfs.Permission:
		n.mounts.set(i, MountRemoved, nil, mountRetry)
	case vfs.KindOf(out.Err) == vfs.Exists:
		n.mounts.set(i, MountPending, out.Err, 0) // looked at in the next round
	case out.Err != nil:
		n.mounts.set(i, MountPending, out.Err, mountRetry)
		n.c.Log.Warn("mount from the file failed", "path", string(m.Path), "type", m.Type, "error", out.Err)
	default:
		s, err := n.mounted(m)
		n.mounts.set(i, s, err, 0)
	}
}

// tooEarly is why a mount is pending that needs a later feature level than the
// cluster has. A cluster that has just begun gets its level in a moment, and so
// does one whose last old member has just been replaced by this node.
func (n *Node) tooEarly(since, level uint64) error {
	if !n.mounts.start() && (level == 0 || n.known(n.c.level) >= since) {
		return fmt.Errorf("%w: waits for feature level %d", errNotYet, since)
	}
	return fmt.Errorf("%w: feature level %d", errLater, since)
}

// mounted looks at what is mounted where the file wants m.
func (n *Node) mounted(m fsm.FileMount) (MountState, error) {
	im := n.machine.Image()
	defer im.Release()
	for _, o := range im.Table.Mounts() {
		if o.Path != m.Path {
			continue
		}
		if o.Type != m.Type || !bytes.Equal(settings(o.Config), settings(m.Config)) {
			return MountConflict, nil
		}
		if o.FS == nil {
			return MountDown, o.Err
		}
		return MountUp, nil
	}
	return MountPending, nil
}

// settings is a Config in a form that can be compared.
func settings(c vfs.Config) []byte {
	if len(c) == 0 {
		c = nil
	}
	return fsm.EncodeMount(fsm.MountSpec{Config: c})
}

// homeOf returns the node that a mount lives on unless the file says so: this
// one, if it has to live on one.
func (n *Node) homeOf(m fsm.FileMount) string {
	p := n.plugin(m.Type)
	switch {
	case p.Type == "":
		return n.id // a third-party plugin
	case p.Place == nil:
		return ""
	}
	if place, err := p.Place(m.Config); err == nil && place == vfs.Pinned {
		return n.id
	}
	return ""
}

// plugin returns the description of a type; empty if it is not compiled in.
func (n *Node) plugin(kind string) vfs.Plugin {
	for _, p := range n.c.Plugins {
		if p.Type == kind {
			return p
		}
	}
	return vfs.Plugin{}
}

// loaded reports whether a third-party plugin is.
func (n *Node) loaded(kind string) bool {
	im := n.machine.Image()
	defer im.Release()
	_, ok := fsm.LibraryOf(im.View, kind)
	return ok
}

// Do runs an Op of a Device, on this node or the one that it lives on; op.Path
// is relative to the mount. Unavailable says that the mount is down.
func (n *Node) Do(ctx context.Context, m vfs.Mounted, op vfs.Op) (vfs.Result, error) {
	if err := n.gate.enter(); err != nil {
		return vfs.Result{}, err
	}
	defer n.gate.leave()
	d, ok := m.FS.(vfs.Device)
	if !ok {
		if m.Err != nil {
			return vfs.Result{}, vfs.Unavailable.With(m.Err.Error())
		}
		return vfs.Result{}, vfs.Unsupported.With("not a device")
	}
	return d.Do(ctx, op)
}

// Put writes a whole file of a Device from a stream. Unsupported, before
// anything of r was read, says that it takes pieces, through Do.
func (n *Node) Put(ctx context.Context, m vfs.Mounted, op vfs.Op, r io.Reader) (vfs.Result, error) {
	if err := n.gate.enter(); err != nil {
		return vfs.Result{}, err
	}
	defer n.gate.leave()
	d, ok := m.FS.(vfs.Putter)
	if !ok {
		return vfs.Result{}, vfs.Unsupported
	}
	return d.Put(ctx, op, r)
}
