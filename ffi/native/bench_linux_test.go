package native_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// work is what is measured of one filesystem.
type work struct {
	name  string
	bytes int64
	do    func() error
}

// measure runs each, and tells what half of the calls take at most.
func measure(b *testing.B, all []work) {
	for _, w := range all {
		b.Run(w.name, func(b *testing.B) {
			b.SetBytes(w.bytes)
			var took []time.Duration
			for b.Loop() {
				since := time.Now()
				if err := w.do(); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(since))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-us")
			b.ReportMetric(float64(took[len(took)*99/100])/1e3, "p99-us")
		})
	}
}

// Benchmark compares the same work in a process of its own, in this one, and in
// memfs, which is built in.
func Benchmark(b *testing.B) {
	code := compiled(b, memory)
	for way, h := range hosts(b) {
		b.Run(way, func(b *testing.B) { outside(b, plugin(b, h, code, vfs.Limits{})) })
	}
	b.Run("memfs", func(b *testing.B) { builtin(b, memfs.Plugin()) })
}

const (
	putSize  = 32 << 20
	allSize  = 256 << 20
	longSize = 1 << 20
)

func outside(b *testing.B, p vfs.Plugin) {
	f, ctx := mount(b, p, nil), b.Context()
	whole := bytes.Repeat([]byte("0123456789abcdef"), allSize/16)
	put := func(n int) error {
		_, err := f.Put(ctx, vfs.Op{Verb: vfs.Write, Path: "/f"}, bytes.NewReader(whole[:n]))
		return err
	}
	write := func(n int, off int64) error {
		_, err := f.Do(ctx, vfs.Op{Verb: vfs.Write, Path: "/f", Data: whole[:n], Off: off})
		return err
	}
	if err := put(putSize); err != nil {
		b.Fatal(err)
	}
	measure(b, []work{
		{"stat", 0, func() error { _, err := f.Stat(ctx, nil, "/f"); return err }},
		{"read 4KiB", 4 << 10, func() error { _, err := f.ReadAt(ctx, nil, "/f", whole[:4<<10], 8); return err }},
		{"write 1KiB", 1 << 10, func() error { return write(1<<10, 8) }},
		{"put 32MiB", putSize, func() error { return put(putSize) }},
		{"write 256MiB", allSize, func() error {
			for off := int64(0); off < allSize; off += longSize {
				if err := write(longSize, off); err != nil {
					return err
				}
			}
			return nil
		}},
		{"read 256MiB", allSize, func() error { _, err := f.ReadAt(ctx, nil, "/f", whole, 0); return err }},
	})
}

// builtin does what a node does beside its log.
func builtin(b *testing.B, p vfs.Plugin) {
	fs, err := p.New(vfs.Env{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	f, state, ctx := fs.(vfs.Folder), vfstest.NewState(), b.Context()
	buf := make([]byte, 16<<10)
	_, err = state.Event(f, vfs.Op{Verb: vfs.Mount, Path: vfs.Root}, vfs.Op{Verb: vfs.Write, Path: "/f", Flag: vfs.FlagCreate, Data: buf})
	if err != nil {
		b.Fatal(err)
	}
	view := state.View()
	measure(b, []work{
		{"stat", 0, func() error { _, err := f.Stat(ctx, view, "/f"); return err }},
		{"read 4KiB", 4 << 10, func() error { _, err := f.ReadAt(ctx, view, "/f", buf[:4<<10], 8); return err }},
		{"write 1KiB", 1 << 10, func() error {
			_, err := state.Apply(f, vfs.Op{Verb: vfs.Write, Path: "/f", Data: buf[:1<<10], Off: 8})
			return err
		}},
	})
}
