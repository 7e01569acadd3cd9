package fsm

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/plugins/queuefs"
	"github.com/pfs-project/pfs/vfs"
)

// queueBench is a queue on a store on disk.
type queueBench struct {
	*testing.B
	m     *Machine
	index uint64
	clock time.Time
}

func newQueueBench(b *testing.B) *queueBench {
	m, err := Open(Options{Dir: b.TempDir(), Plugins: []vfs.Plugin{queuefs.Plugin()}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = m.Close() })
	q := &queueBench{B: b, m: m, clock: time.Unix(1_800_000_000, 0)}
	q.apply(mountOp("/q", "queuefs"))
	return q
}

// apply folds Ops as Events of one entry, and returns what they answer.
func (q *queueBench) apply(ops ...vfs.Op) (results []vfs.Result) {
	q.index++
	q.clock = q.clock.Add(time.Millisecond)
	events := make([]vfs.Event, len(ops))
	for i, op := range ops {
		events[i] = vfs.Event{Time: q.clock, Request: vfs.Request{Ops: []vfs.Op{op}}}
	}
	out := q.m.Apply(logOf(q.index, events...)).([]vfs.Outcome)
	for _, o := range out {
		if o.Err != nil {
			q.Fatal(o.Err)
		}
		results = append(results, o.Results[0])
	}
	return results
}

// cycle takes n messages, one an Event, and acks them.
func (q *queueBench) cycle(n int) {
	acks := make([]vfs.Op, 0, n)
	for _, r := range q.apply(slices.Repeat([]vfs.Op{{Verb: vfs.Consume, Path: "/q/jobs/take", Target: "lease=1h"}}, n)...) {
		var text bytes.Buffer
		var m struct{ Lease string }
		err := queuefs.FS{}.Reply(q.Context(), r, &text)
		if err = errors.Join(err, json.Unmarshal(text.Bytes(), &m)); err != nil || m.Lease == "" {
			q.Fatal(text.String(), err)
		}
		acks = append(acks, vfs.Op{Verb: vfs.Write, Path: "/q/jobs/ack", Data: []byte(m.Lease)})
	}
	q.apply(acks...)
}

// A take and its ack cost the same at the start of a queue and after 100,000
// messages have gone through it, with as many still waiting.
func BenchmarkQueueWorker(b *testing.B) {
	for _, gone := range []int{0, 100_000} {
		name := map[int]string{0: "first", 100_000: "after 100,000"}[gone]
		b.Run(name, func(b *testing.B) {
			q := newQueueBench(b)
			lines := []byte(strings.Repeat(`{"job":"of about a hundred bytes, as most of them are, or so it is said"}`+"\n", 400))
			fill := func(n int) {
				for range n / 400 {
					var a struct{ Seq []uint64 }
					r := q.apply(vfs.Op{Verb: vfs.Write, Path: "/q/jobs/enqueue", Data: lines, Target: "batch=true"})
					if err := json.Unmarshal(r[0].Data, &a); err != nil || len(a.Seq) != 400 {
						b.Fatal(err, len(a.Seq))
					}
				}
			}
			fill(100_000 + gone)
			for range gone / 64 {
				q.cycle(64)
			}
			b.ResetTimer()
			n := 0
			for b.Loop() {
				if n += 64; n%99_968 == 0 {
					b.StopTimer()
					fill(100_000)
					b.StartTimer()
				}
				q.cycle(64)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/message")
		})
	}
}
