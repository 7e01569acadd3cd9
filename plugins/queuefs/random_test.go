package queuefs

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// twin is a mount, the same mount again, and the model of both.
type twin struct {
	t     *testing.T
	r     *rand.Rand
	a, b  *state
	m     model
	stale []string // leases that are over, or of another queue
	fence map[vfs.Path]uint64
	n     int
	early bool // there are no leases yet
}

func newTwin(t *testing.T, seed, level uint64) *twin {
	return &twin{t: t, r: rand.New(rand.NewPCG(seed, 7)), a: newStateAt(t, level), b: newStateAt(t, level), m: model{}, fence: map[vfs.Path]uint64{}}
}

// apply folds op into both, and compares what they say with what the model
// expects.
func (w *twin) apply(op vfs.Op, want vfs.Kind) (vfs.Result, bool) {
	w.t.Helper()
	before := w.a.Digest()
	got, err := w.a.apply(op)
	again, err2 := w.b.apply(op)
	if fmt.Sprint(got, err) != fmt.Sprint(again, err2) {
		w.t.Fatalf("%v %s %q: the same log, other answers: %v %v", op.Verb, op.Path, op.Data, err, err2)
	}
	if vfs.KindOf(err) != want {
		w.t.Fatalf("%v %s %q %q: %v, want %v", op.Verb, op.Path, op.Data, op.Target, err, want)
	}
	if err != nil && before != w.a.Digest() {
		w.t.Fatalf("%v %s: failed and left something", op.Verb, op.Path)
	}
	return got, err == nil
}

func (w *twin) now() time.Time { return w.a.Now() }

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func (w *twin) path() vfs.Path {
	q := vfs.Root
	for range 1 + w.r.IntN(2) {
		q = q.Child(pick(w.r, "a", "b"))
	}
	return q
}

func (w *twin) options() vfs.Options {
	o := vfs.Options{}
	if w.r.IntN(2) == 0 {
		o["priority"] = pick(w.r, "0", "4", "9")
	}
	if w.r.IntN(3) == 0 {
		o["delay"] = pick(w.r, "0s", "1s", "5s")
	}
	if w.r.IntN(3) == 0 {
		o["dedup"] = pick(w.r, "x", "y", "z")
	}
	return o
}

func (w *twin) enqueue(p vfs.Path) {
	o := vfs.Options{}
	if !w.early {
		o = w.options()
	}
	w.n++
	data := fmt.Sprint("m", w.n)
	op := vfs.Op{Verb: vfs.Write, Path: p.Child("enqueue"), Data: []byte(data), Target: o.Encode()}
	was := w.m[p]
	seq, duplicate, want := w.m.make(p).enqueue(w.now(), data, o)
	if want != 0 && was == nil {
		w.t.Fatal("a new queue is full")
	}
	r, ok := w.apply(op, want)
	if !ok {
		return
	}
	var a struct {
		ID        string
		Seq       uint64
		Duplicate bool
	}
	if err := json.Unmarshal(r.Data, &a); err != nil || a.Seq != seq || a.Duplicate != duplicate {
		w.t.Fatalf("%s: %s, want seq %d, duplicate %v", p, r.Data, seq, duplicate)
	}
	if m := w.m[p].messages[seq]; m != nil {
		m.id, m.early = a.ID, w.early
	}
}

func (w *twin) take(p vfs.Path) {
	q := w.m[p]
	if w.early || w.r.IntN(4) == 0 {
		op := vfs.Op{Verb: vfs.Consume, Path: p.Child("dequeue")}
		if q == nil {
			w.apply(op, vfs.NotFound)
			return
		}
		r, _ := w.apply(op, 0)
		got := parse(w.t, w.a.reply(r))
		for _, m := range q.take(w.now(), 1, time.Hour) {
			if got.Data == nil || *got.Data != m.data || got.ID != m.id {
				w.t.Fatalf("dequeue %s: %+v, want %+v", p, got, m)
			}
			delete(q.messages, m.seq)
		}
		return
	}
	most := 1 + w.r.IntN(4)
	d := pick(w.r, time.Second, 3*time.Second, time.Minute)
	o := vfs.Options{"max": fmt.Sprint(most), "lease": d.String()}
	op := vfs.Op{Verb: vfs.Consume, Path: p.Child("take"), Target: o.Encode()}
	if q == nil {
		w.apply(op, vfs.NotFound)
		return
	}
	r, _ := w.apply(op, 0)
	var got []lent
	if err := json.Unmarshal([]byte(w.a.reply(r)), &got); err != nil {
		w.t.Fatal(err)
	}
	want := q.take(w.now(), most, d)
	if len(got) != len(want) {
		w.t.Fatalf("%d taken, want %d", len(got), len(want))
	}
	for i, m := range want {
		g := got[i]
		if g.ID != m.id || g.Data != m.data || g.Seq != m.seq || g.Attempt != m.attempts || !g.Deadline.Equal(m.until) || g.Fence <= w.fence[p] {
			w.t.Fatalf("took %+v, want %+v and a fence above %d", g, m, w.fence[p])
		}
		w.fence[p], m.lease = g.Fence, g.Lease
	}
}

// lent is what take answers.
type lent struct {
	ID, Data, Lease     string
	Seq, Attempt, Fence uint64
	Deadline, Timestamp time.Time
}

// settle acks, nacks or extends some leases, good ones mostly.
func (w *twin) settle(p vfs.Path) {
	q := w.m[p]
	var leases []string
	if q != nil {
		for _, m := range q.in("lent") {
			if w.r.IntN(3) == 0 {
				leases = append(leases, m.lease)
			}
		}
	}
	if len(leases) == 0 || w.r.IntN(10) == 0 {
		if len(w.stale) == 0 {
			return
		}
		leases = append(leases, pick(w.r, w.stale...))
	}
	w.stale = append(w.stale, leases...)
	name, d := pick(w.r, "ack", "ack", "nack", "extend"), pick(w.r, 0, time.Second, 4*time.Second)
	if name == "extend" {
		d += time.Second
	}
	var body strings.Builder
	for _, l := range leases {
		switch name {
		case "ack":
			body.WriteString(l + "\n")
		case "nack":
			fmt.Fprintf(&body, `{"lease":%q,"delay":"%s","reason":"<no>"}`, l, d)
		case "extend":
			fmt.Fprintf(&body, "{\"lease\":%q,\"for\":%q}\n", l, d)
		}
	}
	op := vfs.Op{Verb: vfs.Write, Path: p.Child(name), Data: []byte(body.String())}
	if q == nil {
		w.apply(op, vfs.NotFound)
		return
	}
	died, want := q.settle(name, leases, w.now(), d)
	if r, ok := w.apply(op, want); ok {
		var a answer
		if err := json.Unmarshal(r.Data, &a); err != nil || a.Acked+a.Nacked+a.Extended != len(leases) || a.Dead != died {
			w.t.Fatalf("%s of %d: %s, and %d died", name, len(leases), r.Data, died)
		}
	}
}

// manage does what an operator does.
func (w *twin) manage(p vfs.Path) {
	q := w.m[p]
	dead := ""
	if q != nil && len(q.in("dead")) > 0 {
		dead = q.in("dead")[0].id
	}
	write := func(name, text string, do func()) {
		want := vfs.Kind(0)
		if q == nil {
			want = vfs.NotFound
		} else {
			do()
		}
		w.apply(vfs.Op{Verb: vfs.Write, Path: p.Child(name), Data: []byte(text)}, want)
	}
	what := w.r.IntN(7)
	if w.early {
		what = pick(w.r, 0, 5, 6)
	}
	switch what {
	case 0:
		write("clear", "1", func() { q.clear() })
	case 1:
		write("redrive", "*", func() { q.redrive() })
	case 2:
		if dead != "" {
			write("redrive", dead, func() { q.redrive(dead) })
		}
	case 3:
		text := pick(w.r, "lease=2s max_attempts=2", "priority=7\ndelay=1s", "delay=0s max_messages=9", "dedup=3s max_bytes=30", "max_messages=0 max_bytes=0")
		write("ctl", text, func() {
			for word := range strings.FieldsSeq(text) {
				name, value, _ := strings.Cut(word, "=")
				if err := setOne(&q.settings, name, value); err != nil {
					w.t.Fatal(err)
				}
			}
		})
	case 4:
		dir, gone := pick(w.r, "dead", "delayed"), (*modelMessage)(nil)
		if q != nil && len(q.in(dir)) > 0 {
			gone = pick(w.r, q.in(dir)...)
			delete(q.messages, gone.seq)
			w.apply(vfs.Op{Verb: pick(w.r, vfs.Remove, vfs.RemoveAll), Path: p.Child(dir).Child(gone.id)}, 0)
		}
	case 5:
		w.apply(vfs.Op{Verb: vfs.Mkdir, Path: p}, 0)
		w.m.make(p)
	case 6:
		w.removeQueue(p)
	}
}

func (w *twin) removeQueue(p vfs.Path) {
	q := w.m[p]
	verb, want := pick(w.r, vfs.Remove, vfs.RemoveAll), vfs.Kind(0)
	switch {
	case q == nil:
		want = vfs.NotFound
	case verb == vfs.Remove && (len(q.messages) > 0 || w.m.hasBelow(p)):
		want = vfs.NotEmpty
	}
	if _, ok := w.apply(vfs.Op{Verb: verb, Path: p}, want); ok {
		w.m.remove(p)
	}
}

// pass lets time go by, and the leader do what that brings.
func (w *twin) pass() {
	d := time.Duration(w.r.IntN(3000)) * time.Millisecond
	for _, s := range []*state{w.a, w.b} {
		s.Advance(d)
		if err := s.Settle(s.fs); err != nil {
			w.t.Fatal(err)
		}
	}
	w.m.pass(w.now())
}

// compare holds every file that shows something against the model.
func (w *twin) compare() {
	w.t.Helper()
	for p, q := range w.m {
		var s struct{ Ready, Delayed, Inflight, Dead, Bytes int }
		if err := json.Unmarshal([]byte(w.a.read(p.Child("stats.json"), 512)), &s); err != nil {
			w.t.Fatal(err)
		}
		first := w.a.read(p.Child("peek"), 100)
		if first != nothing {
			first = *parse(w.t, first).Data
		}
		got := fmt.Sprintf("%d ready, %d delayed, %d lent, %d dead, %d bytes; first %s; dead %s; delayed %s; lent %s",
			s.Ready, s.Delayed, s.Inflight, s.Dead, s.Bytes, first,
			w.names(p.Child("dead")), w.names(p.Child("delayed")), w.names(p.Child("inflight")))
		if want := q.show(); got != want {
			w.t.Fatalf("%s:\n%s, want\n%s", p, got, want)
		}
	}
}

func (w *twin) names(dir vfs.Path) string {
	infos, err := w.a.fs.List(w.t.Context(), w.a.View(), dir, "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, i := range infos {
		names = append(names, i.Name)
		if got := w.a.read(dir.Child(i.Name), 64); !json.Valid([]byte(got)) {
			w.t.Fatalf("%s/%s: %s", dir, i.Name, got)
		}
	}
	return strings.Join(names, " ")
}

func TestQueuesAgreeWithModel(t *testing.T) {
	for seed := range uint64(20) {
		newTwin(t, seed, since).work(250)
	}
}

// work does random things and compares now and then.
func (w *twin) work(steps int) {
	w.t.Helper()
	for range steps {
		p := w.path()
		do := slices.Concat(slices.Repeat([]func(vfs.Path){w.enqueue, w.take, w.settle}, 4),
			[]func(vfs.Path){w.manage, func(vfs.Path) { w.pass() }})
		pick(w.r, do...)(p)
		if w.r.IntN(5) == 0 {
			w.pass()
			w.compare()
		}
	}
	if w.a.Digest() != w.b.Digest() {
		w.t.Fatal("the same log, another state")
	}
}
