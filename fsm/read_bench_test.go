package fsm

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
)

// Reads of files of 256 bytes, any of so many, by as many goroutines as there are
// processors, with the caches of a large machine. PFS_SOAK=1 has ten million, too,
// which take some seven minutes to write.
func BenchmarkRead(b *testing.B) {
	counts := []int{10_000, 1_000_000}
	if os.Getenv("PFS_SOAK") != "" {
		counts = append(counts, 10_000_000)
	}
	for _, keys := range counts {
		filled := sync.OnceValue(func() *Machine { // each is begun twice
			m, err := Open(Options{Dir: b.TempDir(), StoreOptions: store.Options{CacheBytes: 256 << 20}, Plugins: testPlugins()})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = m.Close() })
			fillKeys(b, m, keys)
			return m
		})
		b.Run(fmt.Sprint("keys=", keys), func(b *testing.B) {
			m := filled()
			var seed atomic.Uint64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				r := rand.New(rand.NewPCG(1, seed.Add(1)))
				buf := make([]byte, 256)
				for pb.Next() {
					if err := readOne(b, m, keyPath(r.IntN(keys)), buf); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(m.Store().Metrics().ReadAmp), "tables/row")
		})
	}
}

func keyPath(n int) vfs.Path { return vfs.Path("/m/key-" + strconv.Itoa(n)) }

// fillKeys writes that many files in no order, 256 in an entry.
func fillKeys(b *testing.B, m *Machine, keys int) {
	m.Apply(logOf(1, vfs.Event{Request: vfs.Request{Ops: []vfs.Op{mountOp("/m", "memfs")}}}))
	var events []vfs.Event
	random := rand.NewChaCha8([32]byte{})
	index := uint64(1)
	for n, k := range rand.New(rand.NewPCG(1, 2)).Perm(keys) {
		data := make([]byte, 256)
		_, _ = random.Read(data) // never fails
		events = append(events, vfs.Event{Request: vfs.Request{Ops: []vfs.Op{
			{Verb: vfs.Write, Flag: vfs.FlagCreate | vfs.FlagTruncate, Path: keyPath(k), Data: data}}}})
		if len(events) < 256 && n < keys-1 {
			continue
		}
		index++
		for _, out := range m.Apply(logOf(index, events...)).([]vfs.Outcome) {
			if out.Err != nil {
				b.Fatal(out.Err)
			}
		}
		events = nil
	}
}

// readOne reads as a GET does.
func readOne(b *testing.B, m *Machine, p vfs.Path, buf []byte) error {
	img := m.Image()
	defer img.Release()
	_, f, err := img.Table.Open(b.Context(), img.View, "read", p)
	if err != nil {
		return err
	}
	if n, err := f.ReadAt(b.Context(), buf, 0); n != len(buf) {
		return fmt.Errorf("%s: %d bytes, %w", p, n, err)
	}
	return nil
}
