package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"
)

// fuzz checks that whatever bytes are accepted are the one form of their
// value, and that others give one of the two errors.
func fuzz(f *testing.F, kind string) {
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decoders[kind](b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("unexpected error: %v", err)
			}
			return
		}
		var again []byte
		if kind == "error" && v == nil {
			again = AppendError(nil, nil)
		} else {
			again = encode(v)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("accepted %x\nencodes as %x\nvalue %+v", b, again, v)
		}
	})
}

func FuzzOp(f *testing.F)      { fuzz(f, "op") }
func FuzzRequest(f *testing.F) { fuzz(f, "request") }
func FuzzEvent(f *testing.F)   { fuzz(f, "event") }
func FuzzResult(f *testing.F)  { fuzz(f, "result") }
func FuzzOutcome(f *testing.F) { fuzz(f, "outcome") }
func FuzzInfo(f *testing.F)    { fuzz(f, "info") }
func FuzzError(f *testing.F)   { fuzz(f, "error") }
func FuzzBatch(f *testing.F)   { fuzz(f, "batch") }

// FuzzBatchBody gives the input a checksum that holds, to get behind it.
func FuzzBatchBody(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		b := append([]byte{Version}, body...)
		b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
		if v, err := Batch(b); err == nil && !bytes.Equal(AppendBatch(nil, v), b) {
			t.Fatalf("accepted %x\nencodes as %x", b, AppendBatch(nil, v))
		}
	})
}
