package vfs

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// A body is read as a whole, up to the last byte that fits.
func TestWhole(t *testing.T) {
	for _, size := range []int{0, 1, 32<<10 - 1, 32 << 10, 32<<10 + 1, 99_999, 100_000, 100_001, 1 << 20} {
		body := strings.Repeat("x", size)
		for _, r := range []io.Reader{strings.NewReader(body), iotest.DataErrReader(iotest.HalfReader(strings.NewReader(body)))} {
			b, err := Whole(r, 100_000)
			if size > 100_000 && (KindOf(err) != TooLarge || b != nil) || size <= 100_000 && (err != nil || string(b) != body) {
				t.Errorf("%d bytes: %d, %v", size, len(b), err)
			}
		}
	}
	if _, err := Whole(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("xyz"))), 10); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("one that fails: %v", err)
	}
	if b, err := Whole(strings.NewReader("x"), 0); KindOf(err) != TooLarge {
		t.Errorf("no room: %q, %v", b, err)
	}
}
