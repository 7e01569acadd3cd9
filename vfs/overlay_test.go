package vfs_test

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

func pairs(seq iter.Seq2[[]byte, []byte]) (out []string) {
	for k, v := range seq {
		out = append(out, fmt.Sprintf("%x=%s", k, v))
	}
	return out
}

// An Overlay reads as the map that took the same changes, and leaves the View
// below it alone until it is flushed.
func TestOverlayAgainstMap(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		key := func() []byte {
			b := make([]byte, r.IntN(3))
			for i := range b {
				b[i] = []byte{0, 1, 'a', 0xfe, 0xff}[r.IntN(5)]
			}
			return b
		}
		base := mapView{}
		for range 10 {
			base.Put(key(), fmt.Appendf(nil, "base%d", r.IntN(100)))
		}
		before, model := maps.Clone(base), maps.Clone(base)
		o := vfs.NewOverlay(base)
		for step := range 40 {
			k, value := key(), fmt.Appendf(nil, "%d", step)
			switch r.IntN(6) {
			case 0:
				to := key()
				o.DeleteRange(k, to)
				model.DeleteRange(k, append([]byte{}, to...))
			case 1, 2:
				o.Delete(k)
				model.Delete(k)
			default:
				o.Put(k, value)
				model.Put(k, value)
				value[0] = 'x' // the Overlay has its own copy
			}
			got, ok := o.Get(k)
			want, there := model.Get(k)
			if ok != there || ok && string(got) != string(want) {
				t.Fatalf("seed %d: Get(%x) = %q, %v; want %q, %v", seed, k, got, ok, want, there)
			}
			prefix, from := key(), key()
			if r.IntN(2) == 0 {
				from = nil
			}
			if got, want := fmt.Sprint(pairs(o.Scan(prefix, from))), fmt.Sprint(pairs(model.Scan(prefix, from))); got != want {
				t.Fatalf("seed %d: Scan(%x, %x)\n got %s\nwant %s", seed, prefix, from, got, want)
			}
		}
		if !maps.Equal(base, before) {
			t.Fatalf("seed %d: the base has changed", seed)
		}
		o.Flush(base)
		if !maps.Equal(base, model) {
			t.Fatalf("seed %d: flushed\n got %q\nwant %q", seed, base, model)
		}
		if o.Reset(); o.Len() != 0 {
			t.Fatal("Reset leaves changes")
		}
	}
}

// Merge does what Flush into the other Overlay would.
func TestOverlayMerge(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		key := func() []byte { return []byte{"abcdef"[r.IntN(6)]} }
		base := mapView{"a": "base", "c": "base", "e": "base"}
		change := func(all ...*vfs.Overlay) {
			k, to, what, value := key(), key(), r.IntN(6), fmt.Append(nil, r.IntN(100))
			for _, o := range all {
				switch what {
				case 0:
					o.DeleteRange(k, to)
				case 1, 2:
					o.Delete(k)
				default:
					o.Put(k, value)
				}
			}
		}
		flushed, merged := vfs.NewOverlay(base), vfs.NewOverlay(base)
		for range 5 {
			change(flushed, merged)
		}
		for range 3 { // Events, one after the other
			o := vfs.NewOverlay(flushed)
			for range 5 {
				change(o)
			}
			merged.Merge(o)
			o.Flush(flushed)
		}
		want, got := maps.Clone(base), maps.Clone(base)
		flushed.Flush(want)
		merged.Flush(got)
		if a, b := fmt.Sprint(pairs(flushed.Scan(nil, nil))), fmt.Sprint(pairs(merged.Scan(nil, nil))); a != b || !maps.Equal(want, got) {
			t.Fatalf("seed %d: merged\n got %s, %q\nwant %s, %q", seed, b, got, a, want)
		}
	}
}

func TestOverlayScanStops(t *testing.T) {
	o := vfs.NewOverlay(mapView{"b": "", "d": ""})
	o.Put([]byte("a"), nil)
	o.Put([]byte("c"), nil)
	o.Put([]byte("e"), nil)
	for stop := range 5 {
		n := 0
		for range o.Scan(nil, nil) {
			if n == stop {
				break
			}
			n++
		}
		if n != stop {
			t.Errorf("stopped after %d, want %d", n, stop)
		}
	}
}
