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
	remounted bool       // the table was replaced
	fresh     [][32]byte // chunks newly referred to
}

func (m *Machine) newFold() *fold {
	return &fold{m: m, over: vfs.NewOverlay(m.store.View()), seq: m.seq, now: m.now, table: m.table}
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
	if ev.Key != "" {
		if out, ok := f.recall(ev, now); ok {
			if !out.Replayed {
				out.Index = index
			}
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
// repeated: its Op has to be routed again, or its content sent again.
func undecided(err error) bool {
	k := vfs.KindOf(err)
	return k == vfs.Moved || k == vfs.Unavailable
}

// run folds the Ops of one Event: all of them, or nothing.
func (f *fold) run(ops []vfs.Op, now int64) vfs.Outcome {
	e := &event{fold: f, tx: newTx(f.over, now, f.seq+1), table: f.table}
	results, err := e.ops(ops)
	var fresh [][32]byte
	if err == nil {
		fresh, err = e.tx.settle()
	}
	if err != nil {
		return vfs.Outcome{Err: asError(err)}
	}
	e.tx.Flush(f.over)
	f.seq, f.now = e.tx.seq, now
	f.fresh = append(f.fresh, fresh...)
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
	mounts    int // Mount Ops so far
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

func (e *event) op(op vfs.Op) (vfs.Result, error) {
	switch op.Verb {
	case vfs.Mount:
		return e.mount(op)
	case vfs.Unmount:
		return e.unmount(op)
	case vfs.Stage:
		return e.stage(op)
	case vfs.Commit:
		return e.commit(op)
	case vfs.Begin:
		return e.begin(op)
	case vfs.Member:
		return e.member(op)
	case vfs.Sweep:
		return e.sweep(op)
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
