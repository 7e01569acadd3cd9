package history

import (
	"cmp"
	"path"
	"slices"
)

// verbs are the kinds of what the log calls them. A Write is a Put or an
// Enqueue, as its path says.
var verbs = map[string]Kind{"write": Put, "remove": Delete, "remove_all": DeleteAll, "mkdir": Mkdir,
	"rename": Rename, "consume": Dequeue}

// inner are the verbs of events that the cluster itself asks for.
var inner = []string{"mount", "unmount", "stage", "commit", "reap", "member", "sweep", "begin"}

// replay goes through the log, entry by entry.
func (w *Witness) replay(log *Log, reads []*entry, doubts []span) (late []*Op) {
	slices.SortStableFunc(reads, func(a, b *entry) int { return cmp.Compare(a.Index, b.Index) })
	for i := 0; i < len(log.Events); {
		index := log.Events[i].Index
		if index <= w.index {
			i++
			continue
		}
		reads, doubts = w.look(reads, doubts, index-1)
		before, top := w.seq, uint64(0)
		for ; i < len(log.Events) && log.Events[i].Index == index; i++ {
			e := w.event(&log.Events[i])
			switch {
			case e == nil:
			case e.Status == Unknown:
				e.at = index
				late = append(late, e.Op)
			case e.Status == OK && e.guessed && e.Seq > before:
				top = max(top, e.Seq)
			case e.Status == OK && e.Seq <= w.seq:
				w.find(Violation, "event number %d follows %d: %s", e.Seq, w.seq, e.Op)
			case e.Status == OK:
				w.seq = e.Seq
			}
		}
		w.index, w.seq = index, max(w.seq, top)
	}
	w.index = max(w.index, log.Last)
	reads, doubts = w.look(reads, doubts, w.index)
	for _, r := range reads {
		w.find(Violation, "a read of the future, the log ends at %d: %s", w.index, r.Op)
	}
	for _, d := range doubts {
		w.refused(d)
	}
	return late
}

// look holds the reads of the present state, which is that of all indexes up to
// upTo, against the model, and the refusals that may have seen it. It returns
// the others.
func (w *Witness) look(reads []*entry, doubts []span, upTo uint64) ([]*entry, []span) {
	for len(reads) > 0 && reads[0].Index <= upTo {
		w.read(reads[0])
		reads = reads[1:]
	}
	for i := range doubts {
		d := &doubts[i]
		if d.from > upTo {
			break
		}
		if !d.met && d.to >= w.index {
			d.met = slices.Contains(w.m.judge(d.Op).codes, d.Code)
		}
	}
	for len(doubts) > 0 && doubts[0].from <= upTo && (doubts[0].met || doubts[0].to < upTo) {
		w.refused(doubts[0])
		doubts = doubts[1:]
	}
	return reads, doubts
}

func (w *Witness) refused(d span) {
	if !d.met {
		w.find(Violation, "refused, but no state between index %d and %d does that: %s", d.from, d.to, d.Op)
		d.entry.met = true
	}
}

// read holds a read against the model at its index.
func (w *Witness) read(r *entry) {
	v := w.m.judge(r.Op)
	switch {
	case r.Status == Failed && v.ok():
		w.find(Violation, "the state at its index has it: %s", r.Op)
	case r.Status == Failed && !slices.Contains(v.codes, r.Code):
		w.find(Violation, "it should have failed with %s: %s", v, r.Op)
	case r.Status == OK && !v.ok():
		w.find(Violation, "it should have failed with %s: %s", v, r.Op)
	case r.Status == OK && v.out != r.Out:
		w.find(Violation, "it should have read %q: %s", v.out, r.Op)
	case r.Status == OK && r.Kind == Get && r.Version != 0:
		f := w.m.files[r.Path]
		if f.version != 0 && f.version != r.Version {
			w.find(Violation, "the version should be %d: %s", f.version, r.Op)
		}
		f.version = r.Version
	}
}

// event replays one event; it returns the Op that it is of, if it is one.
func (w *Witness) event(ev *Event) *entry {
	if ev.Type != "event" || len(ev.Ops) == 0 {
		return nil
	}
	op := ev.Ops[len(ev.Ops)-1]
	if !w.ours(op.Path) || slices.Contains(inner, op.Verb) {
		return nil
	}
	kind := verbs[op.Verb]
	where := op.Path
	switch path.Base(op.Path) {
	case "enqueue":
		kind, where = Enqueue, path.Dir(op.Path)
	case "dequeue":
		where = path.Dir(op.Path)
	}
	if ev.Key != "" {
		return w.keyed(ev, kind, where)
	}
	var e *entry
	switch {
	case kind == Put || kind == Enqueue:
		id := Digest(op.Data)
		if e = w.open[id]; e == nil || len(op.Refs) > 0 {
			w.find(Violation, "nobody asked for the %s of %q to %s at index %d", kind, id, where, ev.Index)
			return nil
		}
		if e.done {
			w.find(Doubled, "twice in the log, at %d and %d: %s", e.index, ev.Index, e.Op)
		}
	default:
		if e = w.claim(ev, kind, where); e == nil {
			w.find(Violation, "nobody asked for a %s of %s at index %d", kind, where, ev.Index)
			return nil
		}
	}
	w.meet(e, ev, kind, where)
	w.outcome(e, w.m.apply(e.Op))
	return e
}

// keyed replays an event under a key: only the first one does anything.
func (w *Witness) keyed(ev *Event, kind Kind, where string) *entry {
	e := w.open[ev.Key]
	if _, again := w.answers[ev.Key]; again {
		return nil // answered from memory
	}
	if e == nil {
		w.find(Violation, "nobody asked for the %s of %s at index %d under key %s", kind, where, ev.Index, ev.Key)
		return nil
	}
	w.meet(e, ev, kind, where)
	v := w.m.apply(e.Op)
	w.answers[ev.Key] = v
	w.outcome(e, v)
	return e
}

// claim finds whose event it is that carries no identity: that of an Op whose
// answer says so, or else of one that does not know its outcome. Of several in
// one entry of the log, whose order their answers tell, it is the first.
func (w *Witness) claim(ev *Event, kind Kind, where string) *entry {
	var sure, unsure, wrong *entry
	v := w.m.judge(&Op{Kind: kind, Path: where})
	for _, e := range w.nobody[anonymous(kind, where)] {
		switch {
		case e.done:
		case e.Status == OK && e.Index == ev.Index && v.ok() && (kind != Dequeue || e.Out == v.out),
			e.Status == Failed && e.Index == ev.Index && slices.Contains(v.codes, e.Code):
			if sure == nil || e.Seq < sure.Seq {
				sure = e
			}
		case e.Status == OK && e.Index == ev.Index:
			wrong = cmp.Or(wrong, e)
		case e.Status == Unknown && unsure == nil:
			unsure = e
		}
	}
	if sure != nil {
		sure.guessed = unsure != nil
	}
	return cmp.Or(sure, unsure, wrong)
}

// meet notes the place of an Op and that the event says what it asked for.
func (w *Witness) meet(e *entry, ev *Event, kind Kind, where string) {
	e.index, e.done = ev.Index, true
	switch {
	case e.Kind != kind || e.Path != where:
		w.find(Violation, "the log has a %s of %s at index %d: %s", kind, where, ev.Index, e.Op)
	case e.Status == Refused:
		w.find(Violation, "refused, but in the log at index %d: %s", ev.Index, e.Op)
	case e.Status == OK && e.Index != ev.Index:
		w.find(Violation, "in the log at index %d: %s", ev.Index, e.Op)
	}
}

// outcome holds what a client was told against what the model says.
func (w *Witness) outcome(e *entry, v verdict) {
	switch {
	case e.Status == Failed && slices.Contains(v.codes, e.Code):
		e.met = true
	case e.Status == Failed, e.Status == OK && !v.ok():
		w.find(Violation, "the outcome should be %s: %s", v, e.Op)
	case e.Status == OK:
		w.success(e.Op, v)
	}
	if e.Kind == Dequeue && v.out != "" {
		w.taken[v.out] = true
	}
}

// success holds the answer to a change that was made against the model's.
func (w *Witness) success(o *Op, v verdict) {
	switch {
	case o.Kind == Put && o.Version != o.Seq:
		w.find(Violation, "version %d, event %d: %s", o.Version, o.Seq, o)
	case o.Kind == Enqueue && o.Place != v.place:
		w.find(Violation, "its place in the queue should be %d: %s", v.place, o)
	case o.Kind == Enqueue:
		w.ids[o.ID] = o.Message
	case o.Kind == Dequeue && o.Out != v.out:
		w.find(w.kindOfTake(o.Out), "it should have taken %q: %s", v.out, o)
	case o.Kind == Dequeue && w.ids[o.Out] != "" && w.ids[o.Out] != o.Message:
		w.find(Violation, "the message was called %s: %s", w.ids[o.Out], o)
	}
}

func (w *Witness) kindOfTake(id string) string {
	if w.taken[id] {
		return Doubled
	}
	return Violation
}
