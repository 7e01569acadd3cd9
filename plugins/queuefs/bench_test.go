package queuefs

import (
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

func BenchmarkEnqueueDequeue(b *testing.B) {
	s := newState(b)
	s.unchecked = true
	data := strings.Repeat("x", 256)
	for b.Loop() {
		s.enqueue("/q", data)
		s.must(vfs.Op{Verb: vfs.Consume, Path: "/q/dequeue"})
	}
}

// BenchmarkPeekLong reads a message of nearly 16 MiB as a server would.
func BenchmarkPeekLong(b *testing.B) {
	s := newState(b)
	data := []byte(strings.Repeat("a line of words\n", maxMessage/16-1))
	s.must(vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Refs: s.keep(data, vfs.ChunkSize)})
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		s.read("/q/peek", 256<<10)
	}
}
