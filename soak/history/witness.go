package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Finding is a promise that was broken.
type Finding struct {
	What string // lost, doubled, violation
	Text string
}

// The kinds of findings.
const (
	Lost      = "lost"      // acknowledged, and not there
	Doubled   = "doubled"   // done or delivered twice
	Violation = "violation" // any other lie
)

// maxFindings bounds what is reported of one round: after the first, the model
// and the cluster differ anyway.
const maxFindings = 20

// zombie is how long after its call a change may still enter the log: a node
// looks for a leader for so long, with some room for a node that stood still.
const zombie = 30 * time.Second

// Witness replays a cluster's log, piece by piece, against what clients saw.
type Witness struct {
	roots []string
	m     *model
	index uint64 // of the last entry that was replayed

	open    map[string]*entry   // by ID: Ops whose event may still come
	nobody  map[string][]*entry // by verb and path: Ops without an identity
	answers map[string]verdict  // by idempotency key: the first outcome
	taken   map[string]bool     // messages that were delivered
	ids     map[string]string   // of messages, as the answers to enqueueing told
	ended   *Op                 // with the greatest place among those of earlier rounds
	seq     uint64              // of the last acknowledged event
	found   []Finding
}

// entry is an Op and its place in the log.
type entry struct {
	*Op
	index uint64
	done  bool // its event was replayed
	met   bool // a refusal without a place: the state was once as it says

	guessed bool // it could be that of another Op of the entry, whose outcome is not known
}

// NewWitness returns a witness of an empty cluster. roots are the directories
// below which only the clients of the history change anything; those in dirs
// are there from the start.
func NewWitness(roots, dirs []string) *Witness {
	return &Witness{roots: roots, m: newModel(dirs), open: map[string]*entry{}, nobody: map[string][]*entry{},
		answers: map[string]verdict{}, taken: map[string]bool{}, ids: map[string]string{}}
}

// Index returns the last index that was replayed.
func (w *Witness) Index() uint64 { return w.index }

// Values returns what every file holds after all that was replayed.
func (w *Witness) Values() map[string]string {
	out := map[string]string{}
	for p, f := range w.m.files {
		if !f.dir {
			out[p] = f.value
		}
	}
	return out
}

func (w *Witness) find(what, format string, args ...any) {
	if len(w.found) < maxFindings {
		w.found = append(w.found, Finding{what, fmt.Sprintf(format, args...)})
	}
}

// Check takes the Ops of a round and the log up to its end, which must go on
// where the last one ended. It returns what is wrong, and the Ops of this and
// of earlier rounds whose event was in this piece of the log though their
// client does not know it.
func (w *Witness) Check(ops []*Op, log *Log, now time.Duration) (late []*Op, found []Finding) {
	w.found = nil
	if log.First > w.index+1 {
		w.find(Violation, "the log was cut: it begins at %d, after %d", log.First, w.index)
		return nil, w.found
	}
	var reads, doubts []*entry // doubts: refused by the state, without a place in the log
	for _, o := range ops {
		e := &entry{Op: o}
		switch {
		case o.Kind.Reads():
			if o.Status == OK || o.Status == Failed {
				reads = append(reads, e)
			}
			continue
		case o.Status == Failed && o.Index == 0:
			doubts = append(doubts, e)
		}
		if o.Keyed || o.Kind == Put || o.Kind == Enqueue {
			w.open[o.ID] = e
		} else {
			w.nobody[anonymous(o.Kind, o.Path)] = append(w.nobody[anonymous(o.Kind, o.Path)], e)
		}
		if o.Kind == Put && o.Status == OK {
			w.learn(o.Version, o.ID, o)
		}
	}
	for _, r := range reads {
		if r.Kind == Get && r.Status == OK && r.Version != 0 {
			w.learn(r.Version, r.Out, r.Op)
		}
	}
	w.order(ops)
	late = w.replay(log, reads, w.windows(doubts, ops, log.Last))
	w.settle(now)
	return late, w.found
}

// learn notes the value of a version, and that no version has two.
func (w *Witness) learn(version uint64, value string, o *Op) {
	if old, ok := w.m.values[version]; ok && old != value {
		w.find(Violation, "version %d is of %s and of %s: %s", version, old, value, o)
	}
	w.m.values[version] = value
}

// anonymous is what is known of an event without a key and a value.
func anonymous(k Kind, path string) string { return k.String() + " " + path }

// order holds the indexes in the answers against the times: what ended before
// something began has the smaller place.
func (w *Witness) order(ops []*Op) {
	var calls, returns []*Op
	for _, o := range ops {
		if o.Index > 0 && (o.Status == OK || o.Kind.Reads() && o.Status == Failed) {
			calls, returns = append(calls, o), append(returns, o)
		}
	}
	slices.SortStableFunc(calls, func(a, b *Op) int { return cmp.Compare(a.Call, b.Call) })
	slices.SortStableFunc(returns, func(a, b *Op) int { return cmp.Compare(a.Return, b.Return) })
	before := w.ended // with the greatest place among those that have ended
	if len(returns) > 0 {
		last := slices.MaxFunc(returns, func(a, b *Op) int {
			if less(a, b) {
				return -1
			}
			return 1
		})
		if before == nil || less(before, last) {
			w.ended = last
		}
	}
	for _, o := range calls {
		for len(returns) > 0 && returns[0].Return < o.Call {
			if before == nil || less(before, returns[0]) {
				before = returns[0]
			}
			returns = returns[1:]
		}
		switch {
		case o.Kind.Reads() && o.Index < o.MinIndex:
			w.find(Violation, "a read is older than it asked for: %s", o)
		case before == nil:
		case o.Kind.Reads() && o.Linear && o.Index < before.Index:
			w.find(Violation, "a linearizable read is older than what ended before it began: %s; %s", o, before)
		case !o.Kind.Reads() && less(o, before):
			w.find(Violation, "a change lies before what ended before it began: %s; %s", o, before)
		}
	}
}

// less reports whether a lies before b. A read lies behind all changes of its
// index.
func less(a, b *Op) bool {
	if a.Index != b.Index {
		return a.Index < b.Index
	}
	place := func(o *Op) uint64 {
		if o.Kind.Reads() {
			return math.MaxUint64
		}
		return o.Seq
	}
	return place(a) < place(b)
}

// span is the indexes between which the state must have refused an Op.
type span struct {
	*entry
	from, to uint64
}

// windows returns for each refusal the states that it may have seen: from what
// had ended before it began to what began after it had ended.
func (w *Witness) windows(doubts []*entry, ops []*Op, last uint64) []span {
	out := make([]span, 0, len(doubts))
	for _, d := range doubts {
		s := span{d, w.index, last}
		for _, o := range ops {
			if o.Index == 0 || o.Status != OK {
				continue
			}
			if o.Return < d.Call {
				s.from = max(s.from, o.Index)
			}
			if o.Call > d.Return && !o.Kind.Reads() {
				s.to = min(s.to, o.Index)
			}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	return out
}

// settle looks at what the log did not have.
func (w *Witness) settle(now time.Duration) {
	gone := func(e *entry) bool {
		switch {
		case e.done:
			return true
		case e.Status == OK:
			w.find(Lost, "acknowledged, but not in the log: %s", e.Op)
			return true
		case e.Status == Failed && e.Index > 0:
			w.find(Violation, "refused by the state, but not in the log: %s", e.Op)
			return true
		}
		return now-e.Return > zombie
	}
	for id, e := range w.open {
		if gone(e) {
			delete(w.open, id)
		}
	}
	for what, es := range w.nobody {
		w.nobody[what] = slices.DeleteFunc(es, gone)
	}
}

// ours reports whether only clients of the history change the path.
func (w *Witness) ours(p string) bool {
	return slices.ContainsFunc(w.roots, func(r string) bool { return p == r || strings.HasPrefix(p, r+"/") })
}
