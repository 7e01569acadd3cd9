package fsm

import (
	"errors"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// tx is the whole state as one Event may change it.
type tx struct {
	*vfs.Overlay
	counts counts
	now    int64
	seq    uint64
}

var _ vfs.Tx = (*tx)(nil)

func newTx(base vfs.View, now int64, seq uint64) *tx {
	return &tx{Overlay: vfs.NewOverlay(base), now: now, seq: seq}
}

func (t *tx) Retain(ref vfs.ChunkRef)  { t.counts.add(ref, 1) }
func (t *tx) Release(ref vfs.ChunkRef) { t.counts.add(ref, -1) }
func (t *tx) Now() time.Time           { return timeOf(uint64(t.now)) }
func (t *tx) Seq() uint64              { return t.seq }

func (t *tx) settle() ([][32]byte, error) { return t.counts.settle(t.Overlay, t.now) }

// fold is one ApplyBatch under way. What it holds becomes the machine's with
// the commit.
type fold struct {
	m         *Machine
	over      *vfs.Overlay // all Events so far
	seq       uint64
	now       int64 // log time, nanoseconds
	table     *vfs.Table
	remounted bool         // the table was replaced
	loading   bool         // a backup is being taken in
	loaded    bool         // one was, just now
	fresh     [][32]byte   // chunks newly referred to
	scratch   *vfs.Overlay // of the Event under way: empty between Events
}

// maxScratch is how many changes of an Event its room is used again after: to empty
// a long one takes longer than a new one.
const maxScratch = 64

func (m *Machine) newFold() *fold {
	over := vfs.NewOverlay(m.store.View())
	return &fold{m: m, over: over, seq: m.seq, now: m.now, table: m.table, loading: m.loading.Load(), scratch: vfs.NewOverlay(over)}
}

// entry folds one raft entry.
func (f *fold) entry(index uint64, events []vfs.Event) []vfs.Outcome {
	out := make([]vfs.Outcome, len(events))
	for i := range events {
		out[i] = f.take(index, &events[i])
	}
	return out
}

// take folds one Event, or answers it from the window.
func (f *fold) take(index uint64, ev *vfs.Event) vfs.Outcome {
	now := max(f.now, int64(nanos(ev.Time)))
	if ev.Key != "" && !f.loading {
		if out, ok := f.recall(ev, now); ok {
			if !out.Replayed {
				out.Index = index
			}
			// An answer that came with a backup names an entry of another log.
			out.Index = min(out.Index, index)
			return out
		}
	}
	out := f.run(ev.Ops, now)
	out.Index = index
	if ev.Key == "" || undecided(out.Err) {
		return out
	}
	if err := f.remember(ev, now, out); err != nil {
		broken("counts of remembered content: %v", err)
	}
	return out
}

// undecided reports whether the same Event may have another outcome when it is
// repeated: its Op has to be routed again, its content sent again, or its
// client waits on.
func undecided(err error) bool {
	k := vfs.KindOf(err)
	return k == vfs.Moved || k == vfs.Unavailable || k == vfs.Empty
}

// run folds the Ops of one Event: all of them, or nothing.
func (f *fold) run(ops []vfs.Op, now int64) vfs.Outcome {
	if f.scratch.Len() > maxScratch {
		f.scratch = vfs.NewOverlay(f.over)
	}
	f.scratch.Reset() // of what an Event before left
	t := &tx{Overlay: f.scratch, now: disordered(now), seq: f.seq + 1}
	e := &event{fold: f, tx: t, table: f.table, loading: f.loading}
	results, err := e.ops(ops)
	var fresh [][32]byte
	if err == nil {
		fresh, err = e.tx.settle()
	}
	if err != nil {
		return vfs.Outcome{Err: asError(err)}
	}
	if !plantDrop || e.tx.seq%64 != 0 {
		f.over.Merge(e.tx.Overlay)
	}
	f.seq, f.now, f.loading = e.tx.seq, e.tx.now, e.loading
	f.fresh = append(append(f.fresh, fresh...), e.held...)
	f.loaded = f.loaded || e.loaded
	if e.remounted {
		f.table, f.remounted = e.table, true
	}
	return vfs.Outcome{Seq: f.seq, Results: results}
}

// event is one Event under way.
type event struct {
	*fold
	tx        *tx
	table     *vfs.Table
	remounted bool
	loading   bool
	loaded    bool
	held      [][32]byte // chunks newly held for a backup
	mounts    int        // Mount Ops so far
}

func (e *event) ops(ops []vfs.Op) ([]vfs.Result, error) {
	if len(ops) == 0 {
		return nil, vfs.Invalid.With("no operation")
	}
	ops, err := e.join(ops)
	if err != nil {
		return nil, err
	}
	results := make([]vfs.Result, len(ops))
	for i, op := range ops {
		if results[i], err = e.op(op); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// systemVerb is a verb that the machine itself folds.
type systemVerb struct {
	fold func(*event, vfs.Op) (vfs.Result, error)
	own  bool // it changes only what is the cluster's own, or is part of a restore
}

// systemVerbs are all of them.
var systemVerbs = map[vfs.Verb]systemVerb{
	vfs.Mount:   {fold: (*event).mount},
	vfs.Unmount: {fold: (*event).unmount},
	vfs.Stage:   {fold: (*event).stage},
	vfs.Commit:  {fold: (*event).commit},
	vfs.Sweep:   {fold: (*event).sweep},
	vfs.Begin:   {fold: (*event).begin, own: true},
	vfs.Member:  {fold: (*event).member, own: true},
	vfs.Saved:   {fold: (*event).saved, own: true},
	vfs.Enlist:  {fold: (*event).enlist},
	vfs.Dismiss: {fold: (*event).dismiss},
	vfs.Restore: {fold: (*event).restore, own: true},
	vfs.Load:    {fold: (*event).load, own: true},
}

func (e *event) op(op vfs.Op) (vfs.Result, error) {
	v, ok := systemVerbs[op.Verb]
	switch {
	case e.loading && !v.own:
		return vfs.Result{}, errLoading
	case ok:
		return v.fold(e, op)
	}
	return e.table.Apply(e.tx, op)
}

// asError makes err what an Outcome holds.
func asError(err error) error {
	var e *vfs.Error
	if errors.As(err, &e) {
		return e
	}
	e = &vfs.Error{Kind: vfs.KindOf(err)}
	if s := err.Error(); s != e.Kind.Error() {
		e.Reason = s
	}
	return e
}
