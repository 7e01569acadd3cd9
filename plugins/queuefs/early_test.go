package queuefs

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// earlyState returns what the version before leases left: in /q the messages
// m4 to m60 and one long one, in /a/b two of three, in /c none, and on their way
// out a queue and what was cleared. reply is what a dequeue of it kept.
func earlyState(t *testing.T) (s *state, reply []byte) {
	text, err := os.ReadFile("testdata/early.rows")
	if err != nil {
		t.Fatal(err)
	}
	d := vfstest.Dump{Seq: 1000, Now: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), Counts: map[[32]byte]int{}}
	for line := range strings.Lines(string(text)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		value, err := hex.DecodeString(v)
		if err != nil {
			t.Fatal(err)
		}
		if k == "reply" {
			reply = value
			continue
		}
		row, err := hex.DecodeString(k)
		if err != nil {
			t.Fatal(err)
		}
		d.Pairs = append(d.Pairs, vfstest.Pair{Key: row, Value: value})
	}
	s = &state{State: vfstest.Restore(d), t: t, chunks: vfstest.NewChunks()}
	s.fs = FS{s.chunks}
	return s, reply
}

// The queues of the version before leases are there, in order and with all that
// queues can do now.
func TestEarlyQueues(t *testing.T) {
	s, reply := earlyState(t)
	s.raise(since)
	if got := parse(t, s.reply(vfs.Result{Data: reply})); *got.Data != "/a/b0" {
		t.Errorf("an answer kept since: %+v", got)
	}
	if got := s.read("/q/size", 9); got != "58" {
		t.Errorf("%s are ready", got)
	}
	if got := parse(t, s.read("/q/peek", 50)); *got.Data != "m4" {
		t.Errorf("peek: %+v", got)
	}
	before := s.Digest()
	s.names("/q", "", 0)
	if before != s.Digest() {
		t.Error("a read has changed something")
	}
	s.must(vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Data: []byte("urgent"), Target: "priority=9"})
	s.must(vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Data: []byte("whenever"), Target: "priority=0"})
	s.enqueue("/q", "m62")
	s.mustWrite("/q/ctl", "max_attempts=2")
	want := []string{"urgent"}
	for i := 4; i <= 60; i++ {
		want = append(want, fmt.Sprint("m", i))
	}
	want = append(want, strings.Repeat("\x00", 100), "m62", "whenever")
	for i, data := range want {
		first := s.take("/q", time.Minute)
		if first.Data != data {
			t.Fatalf("%d: took %q, want %q", i, first.Data, data)
		}
		switch i % 3 {
		case 0:
			s.mustWrite("/q/ack", first.Lease)
		case 1: // comes back at its place
			s.mustWrite("/q/nack", first.Lease)
			again := s.take("/q", time.Minute)
			if again.ID != first.ID || again.Attempt != 2 {
				t.Fatalf("%+v came again as %+v", first, again)
			}
			s.mustWrite("/q/nack", again.Lease)
		default:
			s.pass(2 * time.Minute)
			if got := s.dequeue("/q"); *parse(t, got).Data != data {
				t.Fatalf("%q came again as %s", data, got)
			}
		}
	}
	if dead := s.list("/q/dead"); len(dead) != len(want)/3 {
		t.Errorf("%d of %d are dead", len(dead), len(want))
	}
	s.mustWrite("/q/redrive", "*")
	for range len(want) / 3 {
		s.dequeue("/q")
	}
	if got := s.read("/q/stats.json", 99); !strings.HasPrefix(got, `{"ready":0,"delayed":0,"inflight":0,"dead":0,"bytes":0,`) {
		t.Error(got)
	}
	if got := s.dequeue("/a/b") + s.dequeue("/a/b") + s.dequeue("/a/b") + s.dequeue("/c"); strings.Count(got, `"data":"/a/b`) != 2 || !strings.HasSuffix(got, "{}{}") {
		t.Error(got)
	}
	s.drain()
	for _, row := range []byte{rowBox, rowGone, rowMessage} {
		if _, _, ok := first(s.View(), row); ok {
			t.Errorf("a row %c is left", row)
		}
	}
}

// What the version before leases wrote is what is written below level 3.
func TestEarlyFold(t *testing.T) {
	want, reply := earlyState(t)
	s := newStateAt(t, since-1)
	do := func(op vfs.Op) vfs.Result {
		s.Advance(time.Second)
		return s.must(op)
	}
	for i := range 60 {
		do(vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Data: fmt.Append(nil, "m", i+1), Target: "priority=9\ndelay=1h"})
	}
	for range 3 {
		do(vfs.Op{Verb: vfs.Consume, Path: "/q/dequeue", Target: "wait=true"})
	}
	do(vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Refs: []vfs.ChunkRef{{Len: 100}}})
	do(vfs.Op{Verb: vfs.Mkdir, Path: "/a/b"})
	for _, q := range []vfs.Path{"/a/b", "/gone", "/c"} {
		for i := range 3 {
			do(vfs.Op{Verb: vfs.Write, Path: q.Child("enqueue"), Data: fmt.Append(nil, q, i)})
		}
	}
	do(vfs.Op{Verb: vfs.RemoveAll, Path: "/gone"})
	do(vfs.Op{Verb: vfs.Write, Path: "/c/clear"})
	r := s.must(vfs.Op{Verb: vfs.Consume, Path: "/a/b/dequeue"})
	if s.Digest() != want.Digest() || !bytes.Equal(r.Data, reply) {
		t.Error("another state or answer than that version had")
	}
	for _, op := range []vfs.Op{{Verb: vfs.Consume, Path: "/q/take"}, {Verb: vfs.Write, Path: "/q/ack", Data: []byte("x")}} {
		if _, err := s.apply(op); err == nil {
			t.Errorf("%v %s is known too early", op.Verb, op.Path)
		}
	}
	if got := s.names("/q", "", 0); got != "clear dequeue enqueue peek size" {
		t.Errorf("a queue has %s", got)
	}
	if got := s.names("/", "", 0); got != "README a c q" {
		t.Errorf("there is %s", got)
	}
	for _, p := range []vfs.Path{"/q/take", "/q/dead", "/q/stats.json"} {
		_, err := s.fs.Stat(t.Context(), s.View(), p)
		_, rerr := s.fs.ReadAt(t.Context(), s.View(), p, make([]byte, 9), 0)
		_, lerr := s.fs.List(t.Context(), s.View(), p, "", 0)
		for _, err := range []error{err, rerr, lerr} {
			if vfs.KindOf(err) != vfs.NotFound {
				t.Errorf("%s: %v", p, err)
			}
		}
	}
	if got := s.read("/q/peek", 20) + s.read("/q/size", 9); !strings.Contains(got, `"data":"m4"`) || !strings.HasSuffix(got, "}58") {
		t.Error(got)
	}
	// A handle that was opened before goes on to lead to its file.
	info, err := s.fs.Stat(t.Context(), s.View(), "/q/enqueue")
	s.raise(since)
	if p, ok := s.fs.PathOf(s.View(), info.ID); err != nil || !ok || p != "/q/enqueue" {
		t.Errorf("the file is %s, %v", p, err)
	}
	s.must(vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", File: info.ID, Data: []byte("first"), Target: "priority=9"})
	if got := s.take("/q", time.Second); got.Data != "first" || got.Seq != 62 {
		t.Errorf("%+v", got)
	}
	s.names("/q", "", 0)
	s.drain()
}

// Queues that are used before and after the level is reached agree with the
// model.
func TestUpgradedQueuesAgreeWithModel(t *testing.T) {
	for seed := range uint64(20) {
		w := newTwin(t, seed, since-1)
		w.early = true
		for range 100 {
			pick(w.r, w.enqueue, w.enqueue, w.enqueue, w.take, w.manage, func(vfs.Path) { w.pass() })(w.path())
		}
		w.early = false
		w.a.raise(since)
		w.b.raise(since)
		w.work(250)
	}
}
