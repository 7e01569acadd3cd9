package raftlog

import (
	"fmt"
	"testing"

	"github.com/hashicorp/raft"
)

// BenchmarkStoreLogs appends batches on the disk of the temporary directory:
//
//	go test -run - -bench StoreLogs ./raftlog
func BenchmarkStoreLogs(b *testing.B) {
	for _, kind := range []string{"bolt", "pebble"} {
		for _, c := range []struct{ batch, size int }{{1, 256}, {64, 256}, {64, 16 << 10}} {
			b.Run(fmt.Sprintf("%s/%dx%d", kind, c.batch, c.size), func(b *testing.B) {
				var s Store
				var err error
				if kind == "bolt" {
					s, err = OpenBolt(b.TempDir())
				} else {
					s, err = OpenPebble(b.TempDir(), nil)
				}
				if err != nil {
					b.Fatal(err)
				}
				s = Watch(s, WatchOptions{MaxCacheBytes: 16 << 20})
				b.SetBytes(int64(c.batch * c.size))
				next := uint64(1)
				for b.Loop() {
					logs := make([]*raft.Log, c.batch)
					for i := range logs {
						logs[i] = &raft.Log{Index: next, Term: 1, Data: make([]byte, c.size)}
						next++
					}
					if err := s.StoreLogs(logs); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(next-1)/b.Elapsed().Seconds(), "entries/s")
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
