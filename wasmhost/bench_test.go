package wasmhost

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// BenchmarkCall tells what one operation costs, with the median of all: what is a
// call of a function in a built-in plugin, and a few in a module.
func BenchmarkCall(b *testing.B) {
	h, err := New("", nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	module := plain().malloc().frees("i:").reads().bytes()
	lib, err := h.Inspect(b.Context(), module, vfs.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	fs, err := h.Plugin(lib, func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error) { return module, nil }).
		New(vfs.Env{Log: h.log}, nil)
	if err != nil {
		b.Fatal(err)
	}
	f := fs.(*FS)
	if err := f.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 5)
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"stat", func() error { _, err := f.Stat(b.Context(), nil, "/f"); return err }},
		{"list", func() error { _, err := f.List(b.Context(), nil, "/", "", 0); return err }},
		{"read", func() error { _, err := f.ReadAt(b.Context(), nil, "/f", buf, 0); return err }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if err := c.do(); err != nil && err != io.EOF && vfs.KindOf(err) != vfs.Crashed { // its malloc has an end
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns/op")
		})
	}
}
