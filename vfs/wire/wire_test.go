package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// samples returns one value of each kind, all fields set, and an empty one.
func samples() map[string]any {
	stamp := time.Unix(1700000000, 123456789).UTC()
	op := vfs.Op{
		Verb: vfs.Write, Mount: 7, Path: "/a/ü", File: 1 << 40, To: "/b", Target: "../c", Off: vfs.AtEnd,
		Mode: vfs.ModeDir | 0o755, Flag: vfs.FlagCreate | vfs.FlagSync,
		If: vfs.Cond{Kind: vfs.IfVersion, Version: 300}, Data: []byte("hello\x00\xff"),
		Refs: []vfs.ChunkRef{{Hash: [32]byte{1, 31: 2}, Off: 5, Len: math.MaxUint32}, {Len: 9}},
	}
	request := vfs.Request{Ops: []vfs.Op{op, {Verb: vfs.Begin}}, Key: "k-1", Sum: [32]byte{9, 31: 8}}
	result := vfs.Result{N: -3, Data: []byte(`{"id":1}`), Refs: op.Refs, Version: 128, File: 127}
	moved := &vfs.Error{Kind: vfs.Moved, Verb: "write", Path: "/a", Reason: "gone", Version: 4}
	return map[string]any{
		"op": op, "op-least": vfs.Op{Verb: vfs.Create},
		"request": request, "request-none": vfs.Request{},
		"event":  vfs.Event{Time: stamp, Request: request},
		"result": result, "result-none": vfs.Result{},
		"outcome":        vfs.Outcome{Index: 9, Seq: 1 << 63, Results: []vfs.Result{result, {}}, Replayed: true},
		"outcome-failed": vfs.Outcome{Index: 1, Err: moved},
		"info": vfs.Info{
			Name: "jobs", Size: 1 << 50, Mode: vfs.ModeLink | 0o777, ModTime: stamp, ID: 3, Version: 4,
			Target: "/q", Meta: vfs.Meta{Name: "queuefs", Type: "control", Content: map[string]string{"b": "2", "": "0", "a": ""}},
		},
		"info-none":   vfs.Info{},
		"error":       error(moved),
		"batch":       []vfs.Event{{Time: stamp, Request: request}, {Time: stamp.Add(1)}, {}},
		"batch-empty": []vfs.Event(nil),
	}
}

func encode(v any) []byte {
	switch v := v.(type) {
	case vfs.Op:
		return AppendOp(nil, v)
	case vfs.Request:
		return AppendRequest(nil, v)
	case vfs.Event:
		return AppendEvent(nil, v)
	case vfs.Result:
		return AppendResult(nil, v)
	case vfs.Outcome:
		return AppendOutcome(nil, v)
	case vfs.Info:
		return AppendInfo(nil, v)
	case []vfs.Event:
		return AppendBatch(nil, v)
	case error:
		return AppendError(nil, v)
	}
	panic(fmt.Sprintf("no form for %T", v))
}

func anyOf[T any](v T, err error) (any, error) { return v, err }

// decoders reads bytes as the kind that the name starts with.
var decoders = map[string]func([]byte) (any, error){
	"op":      func(b []byte) (any, error) { return anyOf(Op(b)) },
	"request": func(b []byte) (any, error) { return anyOf(Request(b)) },
	"event":   func(b []byte) (any, error) { return anyOf(Event(b)) },
	"result":  func(b []byte) (any, error) { return anyOf(Result(b)) },
	"outcome": func(b []byte) (any, error) { return anyOf(Outcome(b)) },
	"info":    func(b []byte) (any, error) { return anyOf(Info(b)) },
	"error":   func(b []byte) (any, error) { return anyOf(Error(b)) },
	"batch":   func(b []byte) (any, error) { return anyOf(Batch(b)) },
}

func decode(name string, b []byte) (any, error) {
	kind, _, _ := strings.Cut(name, "-")
	return decoders[kind](b)
}

func TestRoundTrip(t *testing.T) {
	for name, v := range samples() {
		got, err := decode(name, encode(v))
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%s: got %+v, %v\nwant %+v", name, got, err, v)
		}
	}
}

// TestGolden holds the bytes of version 1 down: a difference means that old
// logs no longer read back, and the file must not be changed to hide it.
func TestGolden(t *testing.T) {
	file, err := os.ReadFile("testdata/golden.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := samples()
	for line := range strings.Lines(string(file)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		want, err := hex.DecodeString(text)
		if err != nil || all[name] == nil {
			t.Fatalf("%s: not a line of golden bytes: %v", name, err)
		}
		if got := encode(all[name]); !bytes.Equal(got, want) {
			t.Errorf("%s: form changed\ngot  %x\nwant %x", name, got, want)
		}
		if v, err := decode(name, want); err != nil || !reflect.DeepEqual(v, all[name]) {
			t.Errorf("%s: reads as %+v, %v", name, v, err)
		}
		delete(all, name)
	}
	for name, v := range all {
		t.Errorf("golden bytes missing: %s %x", name, encode(v))
	}
}

func TestAppendKeepsPrefix(t *testing.T) {
	batch := samples()["batch"].([]vfs.Event)
	b := AppendBatch([]byte("before"), batch)
	if !bytes.Equal(b, append([]byte("before"), encode(batch)...)) {
		t.Error("prefix changed or counted into the checksum")
	}
}

func TestTruncatedAndTrailing(t *testing.T) {
	for name, v := range samples() {
		b := encode(v)
		for n := range b {
			if _, err := decode(name, b[:n:n]); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: first %d of %d bytes: %v", name, n, len(b), err)
			}
		}
		if _, err := decode(name, append(b[:len(b):len(b)], 0)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: trailing byte: %v", name, err)
		}
	}
}

func TestBatchFlips(t *testing.T) {
	b := encode(samples()["batch"])
	for i := range b {
		for bit := range 8 {
			c := bytes.Clone(b)
			c[i] ^= 1 << bit
			if _, err := Batch(c); err == nil {
				t.Fatalf("bit %d of byte %d flipped, still read", bit, i)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	for name, v := range samples() {
		b := encode(v)
		b[0]++
		if _, err := decode(name, b); !errors.Is(err, ErrVersion) {
			t.Errorf("%s of version 2: %v", name, err)
		}
	}
	unknown := map[string]any{
		"op-verb":    vfs.Op{Verb: vfs.Dismiss + 1},
		"op-none":    vfs.Op{},
		"op-flag":    vfs.Op{Verb: vfs.Write, Flag: 1 << 5},
		"op-cond":    vfs.Op{Verb: vfs.Write, If: vfs.Cond{Kind: vfs.IfExists + 1}},
		"batch-verb": []vfs.Event{{Request: vfs.Request{Ops: []vfs.Op{{Verb: 255}}}}},
	}
	for name, v := range unknown {
		if _, err := decode(name, encode(v)); !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := encode(error(vfs.Crashed))
	b[2] = byte(vfs.Crashed) + 1
	if _, err := Error(b); !errors.Is(err, ErrVersion) {
		t.Errorf("kind: %v", err)
	}
}

// batchOf frames a body as a batch whose checksum holds.
func batchOf(body ...byte) []byte {
	b := append([]byte{Version}, body...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
}

func TestNotCanonical(t *testing.T) {
	info := encode(vfs.Info{Meta: vfs.Meta{Content: map[string]string{"a": "", "b": ""}}})
	swapped := bytes.Replace(info, []byte("\x01a\x00\x01b"), []byte("\x01b\x00\x01a"), 1)
	twice := bytes.Replace(info, []byte("\x01a\x00\x01b"), []byte("\x01a\x00\x01a"), 1)
	for name, b := range map[string][]byte{
		"request-long-zero": {Version, 0x80, 0x00, 0x00},
		"request-overflow":  {Version, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0},
		"batch-long-zero":   batchOf(0x80, 0),
		"outcome-bool":      {Version, 0, 0, 0, 0, 2},
		"outcome-error":     {Version, 0, 0, 0, 2, 0},
		"info-mode":         {Version, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"info-swapped":      swapped,
		"info-twice":        twice,
	} {
		if v, err := decode(name, b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

func TestHugeClaims(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}
	million := []byte{0xc0, 0x84, 0x3d}
	cases := map[string][]byte{}
	for i, n := range [][]byte{huge, million} {
		cases[fmt.Sprint("batch-", i)] = batchOf(n...)
		cases[fmt.Sprint("request-", i)] = append([]byte{Version}, n...)
		cases[fmt.Sprint("op-", i)] = append([]byte{Version, 1, 0}, n...)
		cases[fmt.Sprint("result-", i)] = append([]byte{Version, 0, 0}, n...)
		cases[fmt.Sprint("outcome-", i)] = append([]byte{Version, 0, 0}, n...)
		cases[fmt.Sprint("info-", i)] = append(append([]byte{Version, 0, 0, 0}, make([]byte, 13)...), n...)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for name, b := range cases {
		if _, err := decode(name, b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated for claims", n)
	}
}

func TestCopies(t *testing.T) {
	for name, v := range samples() {
		b := encode(v)
		got, err := decode(name, b)
		if err != nil {
			t.Fatal(err)
		}
		clear(b)
		if !reflect.DeepEqual(got, v) {
			t.Errorf("%s shares memory with its input", name)
		}
	}
}

func TestSize(t *testing.T) {
	empty := len(AppendBatch(nil, nil))
	long := vfs.Request{Ops: []vfs.Op{{Verb: vfs.Write, Data: make([]byte, 1<<15), Off: -5}, {Verb: vfs.Write, Off: 1 << 40}}}
	for _, r := range []vfs.Request{{}, {Key: "k"}, samples()["request"].(vfs.Request), long} {
		if got, want := Size(r), len(AppendBatch(nil, []vfs.Event{{Request: r}}))-empty; got != want {
			t.Errorf("Size = %d, takes %d", got, want)
		}
	}
	if empty > Overhead {
		t.Errorf("an empty batch takes %d, more than %d", empty, Overhead)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		in   error
		want *vfs.Error
	}{
		{vfs.NotFound, &vfs.Error{Kind: vfs.NotFound}},
		{fs.ErrExist, &vfs.Error{Kind: vfs.Exists, Reason: fs.ErrExist.Error()}},
		{errors.New("boom"), &vfs.Error{Kind: vfs.Internal, Reason: "boom"}},
		{fmt.Errorf("outer: %w", &vfs.Error{Kind: vfs.Stale, Version: 3}), &vfs.Error{Kind: vfs.Stale, Version: 3}},
		{&vfs.Error{Kind: 200, Reason: "x"}, &vfs.Error{Kind: vfs.Internal, Reason: "x"}},
	} {
		got, err := Error(AppendError(nil, c.in))
		if err != nil || !reflect.DeepEqual(got, error(c.want)) {
			t.Errorf("%v crossed as %#v, %v", c.in, got, err)
		}
	}
	if got, err := Error(AppendError(nil, nil)); got != nil || err != nil {
		t.Errorf("nil crossed as %v, %v", got, err)
	}
}

func TestTimes(t *testing.T) {
	first, last := time.Unix(0, math.MinInt64+1).UTC(), time.Unix(0, math.MaxInt64).UTC()
	for _, c := range []struct{ in, want time.Time }{
		{time.Time{}, time.Time{}},
		{time.Unix(0, 0), time.Unix(0, 0).UTC()},
		{time.Unix(-5, 7).In(time.FixedZone("x", 3600)), time.Unix(-5, 7).UTC()},
		{time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), first},
		{time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), last},
	} {
		got, err := Event(AppendEvent(nil, vfs.Event{Time: c.in}))
		if err != nil || got.Time != c.want {
			t.Errorf("%v crossed as %v, %v", c.in, got.Time, err)
		}
	}
}
