package queuefs

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// golden is the state that goldenOps have always given. A change of it breaks
// every cluster that has such Ops in its log.
const golden = "7d7159de006d2c9ef48ab4dcab65b3d530219f585162411a9bb1cd54dc5628de"

// goldenOps are Ops that fold into every kind of row. A lease in them is the
// n-th that was given, as <n>, counted from 0.
func goldenOps() []vfs.Op {
	refs := []vfs.ChunkRef{{Hash: [32]byte{1}, Len: 40_000}, {Len: 100}, {Hash: [32]byte{2}, Off: 7, Len: 1000}}
	w := func(p vfs.Path, text string, options ...string) vfs.Op {
		return vfs.Op{Verb: vfs.Write, Path: p, Data: []byte(text), Target: strings.Join(options, "\n")}
	}
	take := func(options ...string) vfs.Op {
		return vfs.Op{Verb: vfs.Consume, Path: "/q/take", Target: strings.Join(options, "\n")}
	}
	return []vfs.Op{
		{Verb: vfs.Mkdir, Path: "/a/b"},
		w("/q/enqueue", "one"), w("/q/enqueue", "two", "priority=9", "dedup=d"), w("/q/enqueue", "two", "dedup=d"),
		{Verb: vfs.Write, Path: "/q/enqueue", Refs: refs, Mount: 3},
		w("/q/enqueue", "late", "delay=1h"), w("/q/enqueue", "a\nb\r\n\nc", "batch=true", "dedup=e", "line=10"),
		w("/q/enqueue", strings.Repeat("x\n", 300), "batch=true", "priority=3"),
		w("/q/ctl", "lease=2s max_attempts=2 dedup=1h\nmax_bytes=1TB"),
		take(), take("max=3", "lease=5s"), {Verb: vfs.Consume, Path: "/q/dequeue"},
		w("/q/ack", "<0>\n<2>"), w("/q/nack", `{"lease":"<1>","delay":"3s","reason":"later"}`), w("/q/extend", `{"lease":"<3>","for":"7s"}`),
		take("max=100"), {Verb: vfs.Reap}, {Verb: vfs.Reap}, take("max=100"), {Verb: vfs.Reap}, {Verb: vfs.Reap},
		w("/a/b/enqueue", "in another queue"), {Verb: vfs.Consume, Path: "/a/b/take", Target: "lease=1s"},
		{Verb: vfs.Reap}, {Verb: vfs.Reap},
		{Verb: vfs.Mkdir, Path: "/gone"}, w("/gone/enqueue", "x"), {Verb: vfs.RemoveAll, Path: "/gone"},
		{Verb: vfs.Mkdir, Path: "/empty"}, {Verb: vfs.Remove, Path: "/empty"},
		w("/c/enqueue", "x"), w("/c/clear", ""), {Verb: vfs.Reap}, w("/q/redrive", "*"), {Verb: vfs.Touch, Path: "/q"},
		{Verb: vfs.RemoveAll, Path: "/q/dead"}, {Verb: vfs.Reap}, take("max=7"), w("/q/nack", "<last>"),
	}
}

func TestGolden(t *testing.T) {
	s := newState(t)
	var leases []string
	for i, op := range goldenOps() {
		s.Advance(400 * time.Millisecond)
		text := string(op.Data)
		for n, l := range leases {
			text = strings.ReplaceAll(text, fmt.Sprintf("<%d>", n), l)
		}
		if len(leases) > 0 {
			text = strings.ReplaceAll(text, "<last>", leases[len(leases)-1])
		}
		op.Data = []byte(text)
		if r, err := s.apply(op); err == nil && op.Verb == vfs.Consume && len(r.Data) > 0 {
			for _, i := range decodeParcel(r.Data).items {
				leases = append(leases, leaseText(i.box, i.fence))
			}
		} else if err != nil {
			t.Fatalf("%d: %v %s %q: %v", i, op.Verb, op.Path, op.Data, err)
		}
	}
	kinds := map[byte]bool{}
	for k := range s.View().Scan(nil, nil) {
		kinds[k[0]] = true
	}
	for _, row := range []byte{rowLast, rowEntry, rowQueue, rowTally, rowSettings, rowMessage, rowTried, rowReady, rowLease,
		rowDelayed, rowSeen, rowSeenAt, rowTask, rowBucket, rowBuckets} {
		if !kinds[row] {
			t.Errorf("there is no row of kind %c", row)
		}
	}
	sum := s.Digest()
	if got := hex.EncodeToString(sum[:]); got != golden {
		t.Errorf("the Ops give %s", got)
	}
}
