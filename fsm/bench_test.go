package fsm

import (
	"fmt"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/vfs"
)

// Entries of 64 small writes to different files, 16 entries in a batch.
func BenchmarkApplyBatch(b *testing.B) {
	for _, kind := range []string{"box", "memfs"} {
		b.Run(kind, func(b *testing.B) {
			m, err := Open(Options{Dir: b.TempDir(), Plugins: testPlugins()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = m.Close() }()
			m.Apply(logOf(1, vfs.Event{Request: vfs.Request{Ops: []vfs.Op{mountOp("/b", kind)}}}))
			data := make([]byte, 100)
			n, index := 0, uint64(1)
			b.ReportAllocs()
			for b.Loop() {
				var logs []*raft.Log
				for range 16 {
					var events []vfs.Event
					for range 64 {
						n++
						events = append(events, vfs.Event{Request: vfs.Request{Ops: []vfs.Op{{Verb: vfs.Write, Flag: vfs.FlagCreate,
							Path: vfs.Path(fmt.Sprint("/b/f", n%5000)), Data: data}}}})
					}
					index++
					logs = append(logs, logOf(index, events...))
				}
				for _, out := range m.ApplyBatch(logs) {
					if err := out.([]vfs.Outcome)[0].Err; err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
