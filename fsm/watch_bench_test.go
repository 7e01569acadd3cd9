package fsm

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// A commit that deletes a range, while very many rows of the same mount and of others
// are watched, and what it costs to begin and end a watch of one more.
func BenchmarkWatchOfVeryMany(b *testing.B) {
	const waiters = 400_000
	row := func(mount, n int) []byte {
		key := vfs.MountPrefix(uint64(mount))
		return binary.BigEndian.AppendUint64(append(key, 'w'), uint64(n))
	}
	m, err := Open(Options{Dir: b.TempDir(), Plugins: testPlugins()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	heard := 0
	for n := range waiters {
		m.Watch(row(1+n%4, n), func() { heard++ })
	}
	for _, within := range []int{0, 8} {
		b.Run(fmt.Sprintf("range over %d of %d", within, waiters), func(b *testing.B) {
			o := vfs.NewOverlay(nil)
			o.DeleteRange(row(1, 4), row(1, 4+4*within))
			heard = 0
			for b.Loop() {
				m.watches.tell(o)
			}
			if heard != within*b.N {
				b.Fatalf("%d were told, not %d", heard, within*b.N)
			}
		})
	}
	b.Run("begin and end", func(b *testing.B) {
		n := waiters
		for b.Loop() {
			n++
			m.Watch(row(1+n%4, n*7919%waiters), func() {})()
		}
	})
}
