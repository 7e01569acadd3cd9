package queuefs

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/pfs-project/pfs/vfs"
)

// FuzzMessage cuts a message into chunks anywhere: what is read is what was
// written, and text looks as encoding/json writes it.
func FuzzMessage(f *testing.F) {
	f.Add([]byte("a€😀\xe2\x82"), uint8(1))
	f.Add([]byte("<\u2028\x00>"), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		s := newState(t)
		op := vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Data: data}
		if size > 0 && len(data) > 0 && len(data) < 1000 {
			op.Data, op.Refs = nil, s.keep(data, int(size))
		}
		s.must(op)
		peek := s.read("/q/peek", 5)
		a := parse(t, peek)
		if !utf8.Valid(data) {
			if !bytes.Equal(a.Binary, data) {
				t.Fatalf("%q came as %s", data, peek)
			}
			return
		}
		quoted, err := json.Marshal(string(data))
		if err != nil || *a.Data != string(data) || !bytes.Contains([]byte(peek), quoted) {
			t.Fatalf("%q came as %s", data, peek)
		}
	})
}
