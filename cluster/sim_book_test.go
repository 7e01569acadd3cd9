package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/test/memdisk"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// logBook is the log as all nodes together have applied it: what a node
// applies later, or again after it has lost its power, must be the same. A
// copy of the state machine that never fails folds it.
type logBook struct {
	s       *sim
	turn    chan struct{} // a mutex: the clock of a simulation stands still for those that wait for a sync.Mutex
	entries []*raft.Log   // entries[i] has the index i+1
	seen    map[*life]uint64
	copy    *fsm.Machine
	outs    [][]vfs.Outcome // of entries[i], as the copy answers them
}

func newLogBook(s *sim) *logBook {
	b := &logBook{s: s, turn: make(chan struct{}, 1), seen: map[*life]uint64{}}
	var err error
	if b.copy, err = fsm.Open(fsm.Options{Dir: "/copy", StoreOptions: store.Options{FS: memdisk.New(), CacheBytes: 1 << 20},
		Plugins: s.hosts[0].conf.Plugins}); err != nil {
		s.t.Fatal(err)
	}
	return b
}

// run collects until ctx is done.
func (b *logBook) run(ctx context.Context) {
	for pause(ctx, 2*time.Second) {
		b.collect()
	}
}

// collect reads what the nodes have applied since the last time.
func (b *logBook) collect() {
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	for _, h := range b.s.hosts {
		l := h.life.Load()
		if l == nil {
			continue
		}
		upto := l.machine.Applied()
		from, known := b.seen[l]
		if !known { // all of it again, as far as the log goes
			first, _ := l.logs.FirstIndex()
			from = first - min(first, 1)
		}
		b.seen[l] = max(from, b.read(l, from, upto))
	}
	for l := range b.seen { // any order
		if l.over.Load() {
			delete(b.seen, l)
		}
	}
	b.fold(uint64(len(b.entries)))
}

func (b *logBook) read(l *life, from, upto uint64) uint64 {
	for i := from + 1; i <= upto; i++ {
		e := new(raft.Log)
		err := l.logs.GetLog(i, e)
		first, _ := l.logs.FirstIndex()
		last, _ := l.logs.LastIndex()
		switch {
		case i < first, i > last: // it answers with what stands for a state
			continue
		case errors.Is(err, raft.ErrLogNotFound): // cut, or it got a snapshot
			continue
		case err != nil:
			return i - 1
		case l.over.Load():
			return i - 1
		}
		switch n := uint64(len(b.entries)); {
		case i == n+1:
			b.entries = append(b.entries, e)
		case i > n+1:
			return i - 1 // another node has what is before it
		case b.entries[i-1].Term != e.Term || !bytes.Equal(b.entries[i-1].Data, e.Data):
			b.s.bad("entry %d was %d bytes of term %d, and %s has %d of term %d", i,
				len(b.entries[i-1].Data), b.entries[i-1].Term, l.ID(), len(e.Data), e.Term)
		}
	}
	return upto
}

// fold has the copy apply the entries up to an index.
func (b *logBook) fold(upto uint64) {
	for i := uint64(len(b.outs)); i < upto; i++ {
		e := b.entries[i]
		var outs []vfs.Outcome
		if e.Type == raft.LogCommand || e.Type == raft.LogConfiguration {
			outs, _ = b.copy.Apply(e).([]vfs.Outcome)
		}
		b.outs = append(b.outs, outs)
	}
}

// sums returns those of the copy, which has nothing but the log up to index.
func (b *logBook) sums(index uint64) fsm.Sums {
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	if uint64(len(b.outs)) > index {
		b.s.bad("the log goes on after %d, to %d", index, len(b.outs))
	}
	sums, err := b.copy.Sums(context.Background())
	if err != nil {
		b.s.bad("the copy has no digest: %v", err)
	}
	return sums
}

// check compares what clients saw with what the log says must have happened.
func (b *logBook) check(w *simLoad) {
	model := newSimModel()
	reads := slices.Clone(w.reads)
	slices.SortStableFunc(reads, func(x, y simRead) int { return int(int64(x.index) - int64(y.index)) })
	var last int64 // the latest beginning of a call that is in the log so far
	done := map[*simOp]bool{}
	for i, e := range b.entries {
		index := uint64(i) + 1
		events, err := wire.Batch(e.Data)
		if e.Type != raft.LogCommand {
			events = nil
		} else if err != nil {
			b.s.bad("entry %d: %v", index, err)
		}
		for k, ev := range events {
			if o := w.of(ev); o != nil {
				if why := model.apply(ev, b.outs[i][k]); why != "" {
					b.s.bad("entry %d, %v %s: %s", index, ev.Ops[0].Verb, ev.Ops[0].Path, why)
				}
				if !done[o] {
					last = b.order(o, index, b.outs[i][k], last)
				}
				done[o] = true
			}
		}
		for ; len(reads) > 0 && reads[0].index <= index; reads = reads[1:] {
			if want := model.see(reads[0].path); reads[0].saw != want {
				b.s.bad("%s read %s at %d: %.200q, want %.200q", reads[0].node.ID(), reads[0].path, index, reads[0].saw, want)
			}
		}
	}
	for i, o := range w.ops {
		if o.end == simAcked && !done[o] {
			b.s.bad("op %d, %v %s, was acknowledged at %d and is not in the log", i, o.req.Ops[0].Verb, o.req.Ops[0].Path, o.out.Index)
		}
	}
	if len(reads) > 0 {
		b.s.bad("%d reads are of indexes that the log does not have", len(reads))
	}
}

// of returns the op of a client that an Event is.
func (w *simLoad) of(ev vfs.Event) *simOp {
	for _, op := range ev.Ops {
		if !strings.HasPrefix(string(op.Path), "/m/") && !strings.HasPrefix(string(op.Path), "/q/") {
			continue
		}
		if n, err := strconv.Atoi(op.Target); err == nil && n < len(w.ops) {
			return w.ops[n]
		}
	}
	return nil
}

// order checks an Event that is in the log against what its client was told,
// and against the calls before it in the log. It returns the latest beginning
// of a call up to this one.
func (b *logBook) order(o *simOp, index uint64, out vfs.Outcome, last int64) int64 {
	what := fmt.Sprintf("entry %d, %v %s", index, o.req.Ops[0].Verb, o.req.Ops[0].Path)
	switch o.end {
	case simRefused:
		b.s.bad("%s was refused, and done", what)
	case simAcked:
		got := o.out
		if got.Replayed {
			got.Replayed = false
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", out) {
			b.s.bad("%s was answered %+v, and is %+v", what, got, out)
		}
		if o.ret < last {
			b.s.bad("%s had returned before a call began that is before it in the log", what)
		}
	}
	return max(last, o.call)
}

// fresh checks that linearizable reads saw what was acknowledged before them,
// that no read saw what began after it, and that time does not go back from
// one linearizable read to the next.
func (b *logBook) fresh(w *simLoad) {
	type mark struct {
		at    int64
		index uint64
	}
	var acked, seen []mark
	for _, o := range w.ops {
		if o.end == simAcked {
			acked = append(acked, mark{o.ret, o.out.Index})
		}
	}
	for _, r := range w.reads {
		if r.level.Linearizable {
			seen = append(seen, mark{r.ret, r.index})
		}
	}
	floor := func(marks []mark) func(at int64) uint64 { // the highest index that was known before at
		slices.SortFunc(marks, func(x, y mark) int { return int(x.at - y.at) })
		for i := 1; i < len(marks); i++ {
			marks[i].index = max(marks[i].index, marks[i-1].index)
		}
		return func(at int64) uint64 {
			i, _ := slices.BinarySearchFunc(marks, at, func(m mark, at int64) int { return int(m.at - at) })
			if i == 0 {
				return 0
			}
			return marks[i-1].index
		}
	}
	known, told := floor(acked), floor(seen)
	for _, r := range w.reads {
		if r.level.Linearizable && (r.index < known(r.call) || r.index < told(r.call)) {
			b.s.bad("%s read %s at %d, though %d was acknowledged and %d read before it began", r.node.ID(), r.path, r.index, known(r.call), told(r.call))
		}
		if r.index < r.level.MinIndex {
			b.s.bad("%s read at %d, though asked for %d", r.node.ID(), r.index, r.level.MinIndex)
		}
	}
	b.future(w)
}

// future checks that no read saw what began after it had returned.
func (b *logBook) future(w *simLoad) {
	type mark struct {
		at    int64
		index uint64
	}
	var begun []mark
	for _, o := range w.ops {
		if o.end == simAcked && !o.out.Replayed {
			begun = append(begun, mark{o.call, o.out.Index})
		}
	}
	slices.SortFunc(begun, func(x, y mark) int { return int(y.at - x.at) }) // the latest first
	low := uint64(math.MaxUint64)
	reads := slices.Clone(w.reads)
	slices.SortFunc(reads, func(x, y simRead) int { return int(y.ret - x.ret) })
	for _, r := range reads {
		for ; len(begun) > 0 && begun[0].at > r.ret; begun = begun[1:] {
			low = min(low, begun[0].index)
		}
		if r.index >= low {
			b.s.bad("%s read %s at %d, but entry %d began only after that", r.node.ID(), r.path, r.index, low)
		}
	}
}
