package queuefs

import (
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
	if err := s.fs.Check(s.View()); err != nil {
		t.Fatal(err)
	}
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
