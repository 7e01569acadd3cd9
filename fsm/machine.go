package fsm

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/secret"
	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// Options are the settings of a Machine.
type Options struct {
	// Dir is the directory that the machine keeps its store in. It is the
	// machine's alone.
	Dir string
	// StoreOptions are those of the store in Dir. Fatal is filled in.
	StoreOptions store.Options
	// Store is used in the place of Dir: an open store, perhaps in memory,
	// closed with the machine. Snapshots cannot be sent or installed then.
	Store *store.Store
	// Plugins are the types that are compiled in: the same on every node.
	Plugins []vfs.Plugin
	// Env gives a mount what it may use on this node; nil for nothing. It is
	// called for Folders too, which get the Chunks alone.
	Env func(m vfs.Mounted) vfs.Env
	// Library makes a third-party plugin of what the log knows of it; nil runs
	// none.
	Library func(vfs.Library) vfs.Plugin
	// Level is the newest feature level that is known; 0 for that of this
	// version. Tests play other versions with it.
	Level uint64
	// Secrets reveals the settings of Devices to them; nil reveals references
	// alone.
	Secrets *secret.Box
	// OnChunks hears of chunks that are newly referred to. Not blocking.
	OnChunks func(hashes [][32]byte)
	// OnMounts is called when the mounts have changed. Not blocking.
	OnMounts func()
	// OnRestore is called when the state was replaced by a snapshot or a
	// backup: chunks that it refers to were not told to OnChunks. Not blocking.
	OnRestore func()
	// Log hears of installed snapshots; nil for nobody.
	Log *slog.Logger
	// Fatal ends the node; nil panics. After it the machine folds no more.
	Fatal func(error)
}

// Machine is the replicated state machine. Raft calls ApplyBatch, Apply,
// Snapshot and Restore from one goroutine; all else may be called from any.
type Machine struct {
	o       Options
	home    home // its dir is "" if the store was given
	plugins map[string]vfs.Plugin
	window  window

	apply sync.Mutex // held while the state changes; the fields below are its
	store *store.Store
	gen   uint64 // of the directory that store is in
	seq   uint64
	now   int64
	table *vfs.Table // as folded: Devices have no FS
	// loading says that a backup is being taken in: nothing else is.
	loading atomic.Bool

	mu      sync.Mutex // never held while the store writes
	live    *store.Store
	applied applied
	shown   *vfs.Table // table with the Devices of this node
	coming  coming     // the next one, while its commit is under way
	devices map[uint64]device
	image   *Image // the newest, if anybody asked for it
	waiters waiters
	marks   []*mark
	failed  error
	watches watches

	snaps snapshots
	wg    sync.WaitGroup // replaced stores that are closing
}

var _ raft.BatchingFSM = (*Machine)(nil)

// Open opens the state in o.Dir, or takes o.Store, as the last commit left it:
// the log gives the entries after Applied again. An interrupted restore is
// completed or undone.
func Open(o Options) (*Machine, error) {
	m := &Machine{o: o, home: home{o.StoreOptions.FS, o.Dir}, plugins: map[string]vfs.Plugin{}, window: standardWindow(),
		devices: map[uint64]device{}}
	if m.home.disk == nil {
		m.home.disk = store.Disk()
	}
	for _, p := range o.Plugins {
		m.plugins[p.Type] = p
	}
	if m.o.Level == 0 {
		m.o.Level = Level
	}
	if m.o.Secrets == nil {
		m.o.Secrets = &secret.Box{}
	}
	if (o.Store == nil) == (o.Dir == "") {
		return nil, errors.New("open state: either a directory or a store")
	}
	st, gen := o.Store, uint64(0)
	if st == nil {
		var err error
		if gen, err = m.home.current(); err != nil {
			return nil, fmt.Errorf("open state: %w", err)
		}
		if st, err = store.Open(m.home.gen(gen), m.storeOptions()); err != nil {
			return nil, fmt.Errorf("open state: %w", err)
		}
	}
	state, err := m.inspect(st, gen)
	if err == nil && o.Dir != "" {
		err = m.home.clean(gen)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open state: %w", err), st.Close())
	}
	m.adopt(state)
	return m, nil
}

func (m *Machine) storeOptions() store.Options {
	o := m.o.StoreOptions
	o.Fatal = m.fatal
	return o
}

// opened is a store that was found fit to be the machine's state.
type opened struct {
	store    *store.Store
	gen      uint64
	table    *vfs.Table
	at       applied
	seq, now uint64
	loading  bool
}

// inspect reads from st what the machine keeps at hand.
func (m *Machine) inspect(st *store.Store, gen uint64) (o opened, err error) {
	defer func() { err = errors.Join(err, fault(recover())) }()
	v := st.View()
	o = opened{store: st, gen: gen, table: m.loadTable(v), seq: getNum(v, rowSeq), now: getNum(v, rowTime),
		loading: IsLoading(v)}
	if level := getNum(v, rowLevel); level > m.o.Level {
		return o, tooOld(level, m.o.Level)
	}
	for _, mt := range o.table.Mounts() {
		if mt.Place == vfs.Replicated && mt.FS == nil {
			return o, fmt.Errorf("mount %s of type %s: %w", mt.Path, mt.Type, mt.Err)
		}
	}
	o.at, err = readApplied(v)
	return o, err
}

// adopt makes o the machine's state. The caller holds apply, or is alone.
func (m *Machine) adopt(o opened) {
	m.store, m.gen, m.table, m.seq, m.now = o.store, o.gen, o.table, o.seq, int64(o.now)
	m.loading.Store(o.loading)
	devices := m.makeDevices(o.table)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live = o.store
	m.publish(o.at, o.table, devices)
}

// Apply folds one log entry; see ApplyBatch.
func (m *Machine) Apply(l *raft.Log) any { return m.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch folds committed log entries and commits what they leave behind at
// once. For each it returns []vfs.Outcome, one for each Event, or nil: for a
// configuration, and for an entry that was applied before. Once the machine
// has failed it returns an error for each, and changes nothing.
func (m *Machine) ApplyBatch(logs []*raft.Log) []any {
	m.apply.Lock()
	defer m.apply.Unlock()
	out := make([]any, len(logs))
	err := m.Failed()
	for rest := 0; err == nil && rest < len(logs); {
		end := rest + m.untilMark(logs[rest:])
		if err = m.applyAll(logs[rest:end], out[rest:end]); err != nil {
			m.fatal(err)
		}
		rest = end
	}
	if err != nil {
		for i := range out {
			out[i] = err
		}
	}
	return out
}

func (m *Machine) applyAll(logs []*raft.Log, out []any) (err error) {
	defer func() { err = errors.Join(err, fault(recover())) }()
	at := m.appliedNow()
	batches, err := decodeAll(logs, at.index)
	if err != nil {
		return err
	}
	f := m.newFold()
	was := at
	for i, l := range logs {
		if l.Index <= at.index {
			continue
		}
		switch l.Type {
		case raft.LogCommand:
			out[i] = f.entry(l.Index, batches[i])
		case raft.LogConfiguration:
			at.config, at.configIndex = l.Data, l.Index
		}
		at.index, at.term = l.Index, l.Term
	}
	if at.index == was.index {
		return nil
	}
	return m.commit(f, at)
}

// commit writes what f folded, with the index it reached, and shows it.
func (m *Machine) commit(f *fold, at applied) error {
	if f.seq != m.seq {
		f.over.Put(sysKey(rowSeq), be64(f.seq))
		f.over.Put(sysKey(rowTime), be64(uint64(f.now)))
	}
	var devices map[uint64]device
	if f.remounted {
		devices = m.makeDevices(f.table)
		m.announce(at.index, f.table, devices)
	}
	if err := m.store.Commit(f.over, at.rows()...); err != nil {
		return fmt.Errorf("apply entry %d: %w", at.index, err)
	}
	m.seq, m.now, m.table = f.seq, f.now, f.table
	m.loading.Store(f.loading)
	func() {
		m.mu.Lock()
		defer m.mu.Unlock() // a fault of the store must find it free
		m.publish(at, f.table, devices)
	}()
	m.watches.tell(f.over)
	if f.remounted {
		m.watches.tellRow(MountsRow())
	}
	if f.remounted && m.o.OnMounts != nil {
		m.o.OnMounts()
	}
	if len(f.fresh) > 0 && m.o.OnChunks != nil {
		m.o.OnChunks(f.fresh)
	}
	if f.loaded && m.o.OnRestore != nil {
		m.o.OnRestore()
	}
	return nil
}

// maxEntry is how long an entry may be, in bytes, with room for what no version
// has written yet.
const maxEntry = 2 * vfs.MaxEntry

// decodeAll reads every entry above applied before any of them is folded.
func decodeAll(logs []*raft.Log, applied uint64) ([][]vfs.Event, error) {
	out := make([][]vfs.Event, len(logs))
	for i, l := range logs {
		if l.Index <= applied {
			continue
		}
		var err error
		switch l.Type {
		case raft.LogCommand:
			if len(l.Data) > maxEntry {
				err = fmt.Errorf("%d bytes are too long", len(l.Data))
				break
			}
			out[i], err = wire.Batch(l.Data)
		case raft.LogConfiguration:
			_, err = decodeConfig(l.Data)
		default:
			err = fmt.Errorf("unknown type %v", l.Type)
		}
		if err != nil {
			return nil, fmt.Errorf("log entry %d of term %d: %w", l.Index, l.Term, err)
		}
	}
	return out, nil
}

// fault returns the error in a recovered vfs.StoreFault. Any other panic goes
// on: it is a mistake in the program, and its place matters.
func fault(r any) error {
	if r == nil {
		return nil
	}
	if f, ok := r.(vfs.StoreFault); ok {
		return f
	}
	panic(r)
}

// fatal stops the machine for good and tells the node.
func (m *Machine) fatal(err error) {
	m.mu.Lock()
	first := m.failed == nil
	if first {
		m.failed = err
	}
	m.waiters.end()
	m.settle(math.MaxUint64)
	m.mu.Unlock()
	m.watches.tell(nil)
	if !first {
		return
	}
	if m.o.Fatal == nil {
		panic(vfs.StoreFault{Err: err})
	}
	m.o.Fatal(err)
}

// Failed returns why the machine has stopped; nil while it has not.
func (m *Machine) Failed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// Store returns the store of the present state, for its metrics.
func (m *Machine) Store() *store.Store {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live
}

// Close makes everything durable and closes the store, once the last Image is
// released. Raft must have been shut down.
func (m *Machine) Close() error {
	m.apply.Lock()
	defer m.apply.Unlock()
	m.mu.Lock()
	m.dropImage()
	m.waiters.end()
	closed := m.failed
	if m.failed == nil {
		m.failed = errClosed
	}
	m.settle(math.MaxUint64)
	m.mu.Unlock()
	m.watches.tell(nil)
	if errors.Is(closed, errClosed) {
		return nil
	}
	var err error
	if closed == nil {
		err = m.store.Sync()
	}
	err = errors.Join(err, m.store.Close())
	m.wg.Wait()
	return err
}

var errClosed = errors.New("state is closed")
