package queuefs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

func (s *state) write(p vfs.Path, text string) (vfs.Result, error) {
	return s.apply(vfs.Op{Verb: vfs.Write, Path: p, Data: []byte(text)})
}

func (s *state) mustWrite(p vfs.Path, text string) vfs.Result {
	s.t.Helper()
	return s.must(vfs.Op{Verb: vfs.Write, Path: p, Data: []byte(text)})
}

// take takes one message under a lease of d.
func (s *state) take(q vfs.Path, d time.Duration) lent {
	s.t.Helper()
	o := vfs.Options{"lease": d.String()}
	var l lent
	if err := json.Unmarshal([]byte(s.reply(s.must(vfs.Op{Verb: vfs.Consume, Path: q.Child("take"), Target: o.Encode()}))), &l); err != nil {
		s.t.Fatal(err)
	}
	return l
}

// pass lets time go by, and the leader do what that brings.
func (s *state) pass(d time.Duration) {
	s.t.Helper()
	s.Advance(d)
	if err := s.Settle(s.fs); err != nil {
		s.t.Fatal(err)
	}
}

func (s *state) list(dir vfs.Path) (names []string) {
	s.t.Helper()
	infos, err := s.fs.List(s.t.Context(), s.View(), dir, "", 0)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, i := range infos {
		names = append(names, i.Name)
	}
	return names
}

func TestTakeAnswersLease(t *testing.T) {
	s := newState(t)
	s.enqueue("/q", "job")
	s.Advance(time.Second)
	got := s.reply(s.must(vfs.Op{Verb: vfs.Consume, Path: "/q/take"}))
	var keys []string
	d := json.NewDecoder(strings.NewReader(got))
	for depth := 0; ; {
		tok, err := d.Token()
		if err != nil {
			break
		}
		if k, ok := tok.(string); ok && depth%2 == 0 {
			keys = append(keys, k)
		}
		if _, ok := tok.(json.Delim); !ok {
			depth++
		}
	}
	if want := []string{"id", "data", "timestamp", "seq", "attempt", "lease", "fence", "deadline"}; !slices.Equal(keys, want) {
		t.Errorf("%s has the members %v", got, keys)
	}
	var l lent
	if err := json.Unmarshal([]byte(got), &l); err != nil || l.Seq != 1 || l.Attempt != 1 || !l.Deadline.Equal(s.Now().Add(time.Minute)) || l.Timestamp.Equal(s.Now()) {
		t.Errorf("%s: %v", got, err)
	}
	if names := s.list("/q/inflight"); !slices.Equal(names, []string{l.Lease}) {
		t.Errorf("in flight: %v, not %s", names, l.Lease)
	}
	if got := s.reply(s.must(vfs.Op{Verb: vfs.Consume, Path: "/q/take"})); got != "{}" {
		t.Errorf("an empty queue gives %s", got)
	}
	if got := s.reply(s.must(vfs.Op{Verb: vfs.Consume, Path: "/q/take", Target: "max=3"})); got != "[]" {
		t.Errorf("an empty queue gives %s to one who asks for three", got)
	}
	if _, err := s.apply(vfs.Op{Verb: vfs.Consume, Path: "/q/take", Target: "wait=1"}); vfs.KindOf(err) != vfs.Empty {
		t.Errorf("one who waits gets %v", err)
	}
}

func TestLeaseRunsOut(t *testing.T) {
	s := newState(t)
	s.enqueue("/q", "a")
	s.enqueue("/q", "b")
	first := s.take("/q", time.Second)
	_, next := s.fs.Due(s.View(), s.Now())
	if late := next.Sub(first.Deadline); late < 0 || late > 1<<bucketShift {
		t.Errorf("asked again at %v for a deadline of %v", next, first.Deadline)
	}
	s.Advance(time.Second) // the deadline, and no Reap yet
	if _, err := s.write("/q/ack", first.Lease); vfs.KindOf(err) != vfs.LeaseLost {
		t.Errorf("ack at the deadline: %v", err)
	}
	if _, err := s.write("/q/extend", `{"lease":"`+first.Lease+`","for":"1m"}`); vfs.KindOf(err) != vfs.LeaseLost {
		t.Errorf("extend at the deadline: %v", err)
	}
	if l := s.take("/q", time.Minute); l.Data != "b" {
		t.Errorf("a lease that has run out is given again before its Event: %+v", l)
	}
	s.pass(200 * time.Millisecond)
	again := s.take("/q", time.Minute)
	if again.ID != first.ID || again.Attempt != 2 || again.Fence <= first.Fence || again.Lease == first.Lease {
		t.Errorf("%+v came back as %+v", first, again)
	}
	if _, err := s.write("/q/ack", first.Lease); vfs.KindOf(err) != vfs.LeaseLost {
		t.Errorf("ack of the first lease: %v", err)
	}
	s.mustWrite("/q/ack", again.Lease)
	if _, err := s.write("/q/ack", again.Lease); vfs.KindOf(err) != vfs.LeaseLost {
		t.Errorf("second ack: %v", err)
	}
	if st := s.read("/q/stats.json", 99); !strings.Contains(st, `"inflight":1,"dead":0,"bytes":1,`) ||
		!strings.Contains(st, `"enqueued_total":2,"taken_total":3,"acked_total":1,"nacked_total":0,"expired_total":1,`) {
		t.Error(st)
	}
}

func TestExtend(t *testing.T) {
	s := newState(t)
	s.enqueue("/q", "a")
	l := s.take("/q", time.Second)
	s.pass(900 * time.Millisecond)
	var a answer
	if err := json.Unmarshal(s.mustWrite("/q/extend", `{"lease":"`+l.Lease+`","for":"3s"}`).Data, &a); err != nil || a.Extended != 1 {
		t.Fatalf("%+v, %v", a, err)
	}
	if want := timestamp(s.Now().Add(3 * time.Second).UnixNano()); a.Deadline != want {
		t.Errorf("until %s, not %s", a.Deadline, want)
	}
	s.pass(2900 * time.Millisecond)
	if size := s.read("/q/size", 9); size != "0" {
		t.Error("it came back before its deadline")
	}
	s.pass(300 * time.Millisecond)
	if size := s.read("/q/size", 9); size != "1" {
		t.Error("it did not come back")
	}
}

// All of an ack, or nothing of it.
func TestAckOfSeveral(t *testing.T) {
	s := newState(t)
	for range 5 {
		s.enqueue("/q", "x")
	}
	one, two, three := s.take("/q", time.Minute), s.take("/q", time.Second), s.take("/q", time.Minute)
	s.pass(2 * time.Second)
	if _, err := s.write("/q/ack", one.Lease+"\n"+two.Lease+"\n"+three.Lease+"\n"); vfs.KindOf(err) != vfs.LeaseLost || !strings.Contains(err.Error(), two.Lease) {
		t.Errorf("ack with a lost lease: %v", err)
	}
	if names := s.list("/q/inflight"); len(names) != 2 {
		t.Errorf("something was acked: %v", names)
	}
	r := s.mustWrite("/q/ack", "{\n  \"lease\": \""+one.Lease+"\"\n}\n"+`{"lease":"`+three.Lease+`"}`)
	if string(r.Data) != `{"acked":2}` {
		t.Errorf("%s", r.Data)
	}
}

func TestPoisonGoesToDead(t *testing.T) {
	s := newState(t)
	s.mustWrite("/q/enqueue", "good")
	s.mustWrite("/q/ctl", "max_attempts=3")
	s.mustWrite("/q/ack", s.take("/q", time.Minute).Lease)
	bad := s.enqueue("/q", "bad")
	s.enqueue("/q", "next")
	for attempt := range 3 {
		l := s.take("/q", time.Minute)
		if l.Data != "bad" || l.Attempt != uint64(attempt+1) {
			t.Fatalf("attempt %d: %+v", attempt+1, l)
		}
		s.mustWrite("/q/nack", `{"lease":"`+l.Lease+`","reason":"exit 1: no <file>"}`)
	}
	var id struct{ ID string }
	if err := json.Unmarshal(bad.Data, &id); err != nil {
		t.Fatal(err)
	}
	if names := s.list("/q/dead"); !slices.Equal(names, []string{id.ID}) {
		t.Fatalf("dead: %v, not %s", names, id.ID)
	}
	var d struct {
		ID, Data, Reason, Died string
		Seq, Attempt           uint64
	}
	if err := json.Unmarshal([]byte(s.read("/q/dead/"+vfs.Path(id.ID), 10)), &d); err != nil {
		t.Fatal(err)
	}
	if d.Data != "bad" || d.Reason != "attempt 3/3: exit 1: no <file>" || d.Attempt != 3 || d.Seq != 2 || d.Died == "" {
		t.Errorf("%+v", d)
	}
	if r := s.mustWrite("/q/redrive", id.ID+"\n"); string(r.Data) != `{"redriven":1}` {
		t.Errorf("%s", r.Data)
	}
	if l := s.take("/q", time.Second); l.Data != "bad" || l.Attempt != 1 || l.ID != id.ID {
		t.Errorf("redriven as %+v", l)
	}
	s.mustWrite("/q/ctl", "max_attempts=1")
	s.pass(2 * time.Second)
	if got := s.read("/q/dead/"+vfs.Path(id.ID), 99); !strings.Contains(got, `"reason":"attempt 1/1: the lease ran out"`) {
		t.Error(got)
	}
}

// A mount of 2,500 dead messages comes back in several Events, but not those
// that die again meanwhile.
func TestRedriveOfMany(t *testing.T) {
	s := newState(t)
	s.unchecked = true
	s.mustWrite("/q/enqueue", "first")
	s.mustWrite("/q/ctl", "max_attempts=1 lease=1s")
	batch := strings.Repeat("x\n", 500)
	for range 5 {
		s.must(vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Data: []byte(batch), Target: "batch=true"})
	}
	for range 26 {
		s.must(vfs.Op{Verb: vfs.Consume, Path: "/q/take", Target: "max=100"})
	}
	s.pass(2 * time.Second)
	s.unchecked = false
	if got := len(s.list("/q/dead")); got != 2501 {
		t.Fatalf("%d are dead", got)
	}
	if r := s.mustWrite("/q/redrive", "*"); string(r.Data) != `{"redriven":2501}` || s.read("/q/size", 9) != "1000" {
		t.Errorf("%s, and %s are back at once", r.Data, s.read("/q/size", 9))
	}
	again := s.take("/q", 100*time.Millisecond)
	s.Advance(time.Second)
	ops, _ := s.fs.Due(s.View(), s.Now())
	for len(ops) > 0 {
		for _, op := range ops {
			s.must(op)
		}
		ops, _ = s.fs.Due(s.View(), s.Now())
	}
	if names := s.list("/q/dead"); !slices.Equal(names, []string{again.ID}) || s.read("/q/size", 9) != "2500" {
		t.Errorf("dead: %v; ready: %s", names, s.read("/q/size", 9))
	}
}

// Fences go on rising when a queue is made again, and its leases are no leases
// of the new one.
func TestFencesOutliveAQueue(t *testing.T) {
	s := newState(t)
	var last lent
	for round := range 6 {
		for range 150 {
			s.enqueue("/q", "x")
		}
		var all []lent
		if err := json.Unmarshal([]byte(s.reply(s.must(vfs.Op{Verb: vfs.Consume, Path: "/q/take", Target: "max=100"}))), &all); err != nil {
			t.Fatal(err)
		}
		if _, err := s.write("/q/ack", last.Lease); last.Lease != "" && vfs.KindOf(err) != vfs.LeaseLost {
			t.Fatalf("round %d: ack of an old lease: %v", round, err)
		}
		for _, l := range all {
			if l.Fence <= last.Fence {
				t.Fatalf("round %d: fence %d after %d", round, l.Fence, last.Fence)
			}
			last = l
		}
		if round%2 == 0 {
			s.mustWrite("/q/clear", "")
		} else {
			s.must(vfs.Op{Verb: vfs.RemoveAll, Path: "/q"})
		}
		if _, err := s.write("/q/ack", last.Lease); err == nil {
			t.Fatalf("round %d: ack of a lease whose message was dropped", round)
		}
		if round%3 == 0 {
			s.pass(time.Millisecond)
		}
	}
}

// What was dropped with leases and delays leaves nothing behind, whenever its
// time comes.
func TestDroppedWithLeases(t *testing.T) {
	s := newState(t)
	refs := s.keep(make([]byte, 50_000), 20_000)
	s.unchecked = true
	for i := range 1500 {
		op := vfs.Op{Verb: vfs.Write, Path: "/p/q/enqueue", Data: []byte("x")}
		if i%7 == 0 {
			op.Data, op.Refs = nil, refs
		}
		if i%3 == 0 {
			op.Target = "delay=5s"
		}
		s.must(op)
	}
	for range 5 {
		s.must(vfs.Op{Verb: vfs.Consume, Path: "/p/q/take", Target: "max=100\nlease=2s"})
	}
	s.mustWrite("/p/q/ctl", "max_attempts=1")
	s.pass(3 * time.Second) // 500 are dead
	for range 4 {
		s.must(vfs.Op{Verb: vfs.Consume, Path: "/p/q/take", Target: "max=100\nlease=2s"})
	}
	s.unchecked = false
	s.must(vfs.Op{Verb: vfs.RemoveAll, Path: "/p"})
	s.Advance(10 * time.Second) // all is due, and nobody can reach it
	for rounds := 0; ; rounds++ {
		ops, next := s.fs.Due(s.View(), s.Now())
		if len(ops) == 0 {
			if !next.IsZero() {
				t.Errorf("asked again at %v", next)
			}
			break
		}
		if rounds > 50 {
			t.Fatal("no end")
		}
		s.must(ops[0])
	}
	if left := s.Counts(); len(left) > 0 {
		t.Errorf("chunks still counted: %d", len(left))
	}
	for k := range s.View().Scan(nil, nil) {
		if k[0] != rowLast && !bytes.Equal(k, key(rowQueue, rootID)) {
			t.Errorf("row left: %q", k)
		}
	}
}

// Long messages are shown in every directory with the length that stat says,
// and their chunks are counted until they are gone.
func TestLongMessages(t *testing.T) {
	s := newState(t)
	long := []byte(strings.Repeat("a€\n", 30_000))
	refs := s.keep(long, 20_000)
	for _, target := range []string{"", "", "delay=1h"} {
		s.must(vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Refs: refs, Target: target})
	}
	s.mustWrite("/q/ctl", "max_attempts=1")
	a, b := s.take("/q", time.Minute), s.take("/q", time.Minute)
	if a.Data != string(long) {
		t.Error("take gives something else")
	}
	s.mustWrite("/q/nack", `{"lease":"`+a.Lease+`"}`)
	for _, p := range []vfs.Path{"/q/dead", "/q/delayed", "/q/inflight"} {
		names := s.list(p)
		if len(names) != 1 {
			t.Fatalf("%s: %v", p, names)
		}
		if got := parse(t, s.read(p.Child(names[0]), 7001)); !bytes.Equal(got.Binary, long) {
			t.Errorf("%s shows something else", p)
		}
	}
	counted := 0
	for _, n := range s.Counts() {
		counted += n
	}
	if counted != 3*len(refs) {
		t.Errorf("%d references, not %d", counted, 3*len(refs))
	}
	s.mustWrite("/q/redrive", "*")
	s.mustWrite("/q/ack", s.take("/q", time.Minute).Lease)
	s.mustWrite("/q/ack", b.Lease)
	s.must(vfs.Op{Verb: vfs.Remove, Path: vfs.Path("/q/delayed").Child(s.list("/q/delayed")[0])})
	if left := s.Counts(); len(left) > 0 {
		t.Errorf("chunks still counted: %v", left)
	}
}

func TestTakeIsBoundedByBytes(t *testing.T) {
	s := newState(t)
	for range 20 {
		s.enqueue("/q", strings.Repeat("x", vfs.MaxInline))
	}
	r := s.must(vfs.Op{Verb: vfs.Consume, Path: "/q/take", Target: "max=20"})
	var all []lent
	if err := json.Unmarshal([]byte(s.reply(r)), &all); err != nil || len(all) != takeBytes/vfs.MaxInline || len(r.Data) > takeBytes+vfs.MaxInline {
		t.Errorf("%d messages of %d bytes: %v", len(all), len(r.Data), err)
	}
	if fmt.Sprint(20-len(all)) != s.read("/q/size", 9) {
		t.Errorf("%d given, %s left", len(all), s.read("/q/size", 9))
	}
	for range 3 { // long ones, in chunks
		s.must(vfs.Op{Verb: vfs.Write, Path: "/long/enqueue", Refs: s.keep(make([]byte, takeBytes), 100_000)})
	}
	r = s.must(vfs.Op{Verb: vfs.Consume, Path: "/long/take", Target: "max=20"})
	if n := len(decodeParcel(r.Data).items); n != 1 {
		t.Errorf("%d long messages at once", n)
	}
}
