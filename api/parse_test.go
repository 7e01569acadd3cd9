package api

import (
	"net/url"
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

// TestWindows are wide for few bodies and narrow for many, and come back.
func TestWindows(t *testing.T) {
	var w windows
	var all [][]byte
	for i := range wideBodies + 100 {
		b := w.get()
		if want := i < wideBodies; (len(b) == window) != want {
			t.Fatalf("buffer %d has %d bytes", i, len(b))
		}
		all = append(all, b)
	}
	for _, b := range all {
		w.put(b)
	}
	if b := w.get(); len(b) != window || w.wide.Load() != 1 {
		t.Errorf("%d bytes, %d out", len(b), w.wide.Load())
	}
}
