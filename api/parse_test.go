package api

import (
	"net/url"
	"slices"
	"testing"
	"unicode/utf8"
)

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"a=b&c=d", "path=%2f&path=x", "a=%zz", "a=%", "%41=1&A=2", "=&=", "a+b=c%2Bd", "a=%+1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := parseQuery(nil, s)
		if err != nil {
			return
		}
		std, err := url.ParseQuery(s)
		if err != nil {
			return // it knows semicolons as mistakes
		}
		for _, p := range q {
			if v := std[p.key]; len(v) != 1 || v[0] != p.value {
				t.Fatalf("%q: %q is %q here, %q there", s, p.key, p.value, v)
			}
		}
	})
}

func FuzzRange(f *testing.F) {
	f.Add("bytes=0-1", int64(10))
	f.Add("bytes=-5", int64(3))
	f.Add("bytes=999999999999999999-", int64(1))
	f.Fuzz(func(t *testing.T, s string, size int64) {
		if size < 0 {
			return
		}
		off, n, verdict := parseRange(s, size)
		if verdict == rangeGood && (off < 0 || n < 1 || off+n > size) {
			t.Fatalf("%q of %d: %d+%d", s, size, off, n)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("AAAAAAAAAAAAAAAA")
	f.Add(cursor("/d", "name"))
	f.Fuzz(func(t *testing.T, s string) {
		if name, ok := readCursor("/d", s); ok && (!utf8.ValidString(name) || cursor("/d", name) != s) {
			t.Fatalf("%q gives %q", s, name)
		}
	})
}

// TestWindows are wide for few large files and narrow for many bodies, and come back.
func TestWindows(t *testing.T) {
	for _, c := range []struct {
		n    int64
		want []int // length of each class, as many as there may be
	}{
		{window + 1, append(slices.Repeat([]int{wide}, wideFiles), slices.Repeat([]int{window}, manyBodies)...)},
		{window, slices.Repeat([]int{window}, manyBodies)},
		{0, slices.Repeat([]int{window}, manyBodies)},
	} {
		var w windows
		var all [][]byte
		for i, want := range append(c.want, narrow, narrow) {
			b := w.get(c.n)
			if len(b) != want {
				t.Fatalf("of %d bytes: buffer %d has %d bytes, not %d", c.n, i, len(b), want)
			}
			all = append(all, b)
		}
		for _, b := range all {
			w.put(b)
		}
		if b := w.get(c.n); len(b) != c.want[0] || w.wide.Load()+w.usual.Load() != 1 {
			t.Errorf("%d bytes, %d and %d out", len(b), w.wide.Load(), w.usual.Load())
		}
	}
}
