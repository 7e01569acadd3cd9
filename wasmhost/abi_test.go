package wasmhost

import (
	"context"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// started mounts a module.
func started(t *testing.T, module []byte, l vfs.Limits, config vfs.Config) *FS {
	t.Helper()
	return mounted(t, plugin(t, newHost(t), module, l), vfs.Env{Log: newHost(t).log, Mount: "/at"}, config)
}

// mounted makes a mount of a plugin and starts it.
func mounted(t testing.TB, p vfs.Plugin, env vfs.Env, config vfs.Config) *FS {
	t.Helper()
	fs, err := p.New(env, config)
	if err != nil {
		t.Fatal(err)
	}
	f := fs.(*FS)
	err = f.Start(t.Context())
	for range 5 { // its time is that of a call, which a busy machine may let pass
		if vfs.KindOf(err) != vfs.Timeout {
			break
		}
		time.Sleep(startPause)
		err = f.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// memory shows the memory of the only instance.
func (f *FS) memory(t *testing.T, at, n uint32) []byte {
	t.Helper()
	var out []byte
	if err := f.pool.use(t.Context(), func(_ context.Context, i *instance) error {
		b, ok := i.memory.Read(at, n)
		if !ok {
			t.Errorf("no memory at %d", at)
		}
		out = append(out, b...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// freed returns what was passed to free.
func (f *FS) freed(t *testing.T) (out [][2]uint32) {
	b := f.memory(t, atFrees, 1024)
	for ; binary.LittleEndian.Uint32(b) != 0; b = b[8:] {
		out = append(out, [2]uint32{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])})
	}
	return out
}

func (f *FS) mustRead(t *testing.T, p vfs.Path, n int, off int64) string {
	t.Helper()
	b := make([]byte, n)
	got, err := f.ReadAt(t.Context(), nil, p, b, off)
	if err != nil && err != io.EOF {
		t.Errorf("read %s: %v", p, err)
	}
	return string(b[:got])
}

func write(s string) vfs.Op {
	return vfs.Op{Verb: vfs.Write, Path: "/f", Data: []byte(s), Flag: vfs.FlagCreate | vfs.FlagTruncate}
}

// What a file is said to be, in JSON of any kind.
func TestDescribes(t *testing.T) {
	g := plain().malloc().reads()
	f := started(t, g.bytes(), vfs.Limits{}, nil)
	i, err := f.Stat(t.Context(), nil, "/f")
	if err != nil || i.Size != 5 || i.Mode != 0o644 || i.ModTime.Year() < 2000 || i.Meta.Content["n"] != "1" || i.Meta.Content["s"] != "x" {
		t.Errorf("%+v, %v", i, err)
	}
	list, err := f.List(t.Context(), nil, "/", "", 0)
	if err != nil || len(list) != 1 || list[0].Name != "f" {
		t.Errorf("%+v, %v", list, err)
	}
	lib, err := newHost(t).Inspect(t.Context(), g.bytes(), vfs.Limits{})
	if err != nil || lib.Name != "wasm-plugin" || lib.Verbs != 0 || lib.Place != vfs.Pinned {
		t.Errorf("%+v, %v", lib, err)
	}
}

// Arguments and results are freed with as many parameters as free has, and the
// exact sizes.
func TestFrees(t *testing.T) {
	for sign, sizes := range map[string][2]uint32{"i:": {}, "ii:": {3, 138}} {
		f := started(t, plain().malloc().frees(sign).reads().bytes(), vfs.Limits{}, nil)
		if _, err := f.Stat(t.Context(), nil, "/f"); err != nil {
			t.Fatal(err)
		}
		got := f.freed(t)
		if len(got) != 2 || got[0][0] != atFile || got[1][0] < 65536 || got[1][1] != sizes[0] {
			t.Fatalf("%s: %v", sign, got)
		}
		text := strings.TrimRight(string(f.memory(t, atFile, 512)), "\x00")
		if want := uint32(strings.IndexByte(text+"\x00", 0)) + 1; sign == "ii:" && got[0][1] != want {
			t.Errorf("a text was freed with %d bytes, it has %d", got[0][1], want)
		}
		if f.mustRead(t, "/f", 5, 0) != "hello" {
			t.Error("read")
		}
		got = f.freed(t)[2:]
		if sign == "ii:" && (len(got) < 2 || got[len(got)-2] == [2]uint32{} || !has(got, [2]uint32{atBytes, 5})) {
			t.Errorf("data was not freed with its length: %v", got)
		}
	}
}

func has(list [][2]uint32, want [2]uint32) bool {
	for _, e := range list {
		if e == want {
			return true
		}
	}
	return false
}

// A module without malloc gets the path in its input buffer and data in the
// other one.
func TestSharedBuffers(t *testing.T) {
	g := plain().reads()
	g.fn("get_input_buffer_ptr", ":i", i32(20_000))
	g.fn("get_output_buffer_ptr", ":i", i32(30_000))
	g.fn("get_shared_buffer_size", ":i", i32(4096))
	g.fn("fs_write", "iiiIi:I", get(0), i32(20_000), op(0x46), get(1), i32(30_000), op(0x46, 0x71, 0x04, 0x7e),
		get(2), op(0xad), op(0x05), pair(0, atError), op(0x0b))
	f := started(t, g.bytes(), vfs.Limits{}, nil)
	if r, err := f.Do(t.Context(), write("content")); err != nil || r.N != 7 {
		t.Errorf("%+v, %v", r, err)
	}
	if got := f.memory(t, 20_000, 3); string(got) != "/f\x00" {
		t.Errorf("input %q", got)
	}
	if got := f.memory(t, 30_000, 7); string(got) != "content" {
		t.Errorf("output %q", got)
	}
	if _, err := f.Do(t.Context(), write(strings.Repeat("x", 4097))); vfs.KindOf(err) != vfs.TooLarge {
		t.Error(err)
	}
}

// A module with both gets what fits in its input buffer, which costs no call, and the
// rest from malloc; its output buffer is for its own answers, which are not freed.
func TestSharedBuffersBesideMalloc(t *testing.T) {
	g := plain().malloc().frees("i:")
	g.fn("fs_stat", "i:I", isRoot(), op(0x04, 0x7e), pair(atFile+512, 0), op(0x05), pair(atFile, 0), op(0x0b))
	g.fn("fs_readdir", "i:I", pair(atList, 0))
	g.fn("fs_read", "iII:I", pair(30_000, 5))
	g.fn("get_input_buffer_ptr", ":i", i32(20_000))
	g.fn("get_output_buffer_ptr", ":i", i32(30_000))
	g.fn("get_shared_buffer_size", ":i", i32(4096))
	g.fn("fs_write", "iiiIi:I", i32(9000), get(0), store(), i32(9004), get(1), store(), get(2), op(0xad))
	f := started(t, g.bytes(), vfs.Limits{}, nil)
	args := func(n int) (path, data uint32) {
		t.Helper()
		if r, err := f.Do(t.Context(), write(strings.Repeat("x", n))); err != nil || r.N != int64(n) {
			t.Fatalf("%+v, %v", r, err)
		}
		b := f.memory(t, 9000, 8)
		path, data = binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		if got := f.memory(t, path, 3); string(got) != "/f\x00" {
			t.Errorf("path %q", got)
		}
		if got := f.memory(t, data, uint32(n)); string(got) != strings.Repeat("x", n) {
			t.Errorf("data %.20q", got)
		}
		return path, data
	}
	stated := [2]uint32{atFile}
	if path, data := args(4088); path != 20_000 || data != 20_008 || !slices.Equal(f.freed(t), [][2]uint32{stated}) {
		t.Errorf("what fits is at %d and %d; freed %v", path, data, f.freed(t))
	}
	path, data := args(4089)
	if path != 20_000 || data < 65536 || !slices.Equal(f.freed(t), [][2]uint32{stated, stated, {data}}) {
		t.Errorf("what does not fit is at %d and %d; freed %v", path, data, f.freed(t))
	}
	if f.mustRead(t, "/f", 5, 0); !slices.Equal(f.freed(t)[3:], [][2]uint32{stated}) {
		t.Errorf("an answer in the output buffer was freed: %v", f.freed(t))
	}
}

// Buffers that are nowhere yet, or are one, are left alone where there is malloc.
func TestSharedBuffersUnfit(t *testing.T) {
	for name, at := range map[string][2]int64{"null": {0, 30_000}, "no output": {30_000, 0}, "one": {30_000, 30_000}, "overlapping": {30_000, 34_095}} {
		g := plain().malloc().reads()
		g.fn("get_input_buffer_ptr", ":i", i32(at[0]))
		g.fn("get_output_buffer_ptr", ":i", i32(at[1]))
		g.fn("get_shared_buffer_size", ":i", i32(4096))
		g.fn("fs_write", "iiiIi:I", i32(9000), get(0), store(), i32(9004), get(1), store(), get(2), op(0xad))
		f := started(t, g.bytes(), vfs.Limits{}, nil)
		if r, err := f.Do(t.Context(), write("content")); err != nil || r.N != 7 {
			t.Fatalf("%s: %+v, %v", name, r, err)
		}
		b := f.memory(t, 9000, 8)
		if path, data := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]); path < 65536 || data < 65536 {
			t.Errorf("%s: arguments at %d and %d", name, path, data)
		}
	}
}

// A count above is no error where its number is an address of what was written.
func TestWritePackingInBuffer(t *testing.T) {
	g := plain().malloc().reads()
	g.fn("get_input_buffer_ptr", ":i", i32(20_000))
	g.fn("get_output_buffer_ptr", ":i", i32(60_000))
	g.fn("get_shared_buffer_size", ":i", i32(30_000))
	g.fn("fs_write", "iiiIi:I", get(2), op(0xad), op(0x42, 32, 0x86)) // len << 32
	f := started(t, g.bytes(), vfs.Limits{}, nil)
	if r, err := f.Do(t.Context(), write(strings.Repeat("x", 21_000))); err != nil || r.N != 21_000 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Both orders in which fs_write may pack its answer, and what is neither.
func TestWritePacking(t *testing.T) {
	for name, c := range map[string]struct {
		low, high uint32
		n         int64
		kind      vfs.Kind
	}{
		"the SDKs: count below":       {5, 0, 5, 0},
		"the SDKs: error above":       {0, atError, 0, vfs.NotFound},
		"as documented: count above":  {0, 5, 5, 0},
		"as documented: error below":  {atError, 5, 0, vfs.NotFound},
		"a count of something else":   {9999, 0, 5, 0},
		"nothing":                     {0, 0, 0, 0},
		"a pointer outside":           {0, 0xfffffff0, 0, vfs.Crashed},
		"both halves, neither a text": {atFrees, 0xffffffff, 0, 0},
	} {
		g := plain().malloc().reads()
		g.fn("fs_write", "iiiIi:I", pair(c.low, c.high))
		f := started(t, g.bytes(), vfs.Limits{}, nil)
		r, err := f.Do(t.Context(), write("12345"))
		if name == "both halves, neither a text" {
			continue // whatever it is, it is no crash of the host
		}
		if vfs.KindOf(err) != c.kind || r.N != c.n {
			t.Errorf("%s: %d, %v", name, r.N, err)
		}
	}
}

// What the ABI passes for a write: all of it new, behind the end, or at an
// offset.
func TestWriteArguments(t *testing.T) {
	g := plain().malloc().reads()
	g.fn("fs_write", "iiiIi:I", i32(9000), get(3), op(0xa7), store(), i32(9004), get(4), store(), get(2), op(0xad))
	f := started(t, g.bytes(), vfs.Limits{}, nil)
	for _, c := range []struct {
		off  int64
		flag vfs.Flag
		want [2]int32
	}{
		{0, vfs.FlagCreate | vfs.FlagTruncate, [2]int32{-1, 10}},
		{vfs.AtEnd, vfs.FlagCreate, [2]int32{-1, 3}},
		{7, 0, [2]int32{7, 0}},
	} {
		op := write("x")
		op.Off, op.Flag = c.off, c.flag
		if _, err := f.Do(t.Context(), op); err != nil {
			t.Fatal(err)
		}
		b := f.memory(t, 9000, 8)
		if got := [2]int32{int32(binary.LittleEndian.Uint32(b)), int32(binary.LittleEndian.Uint32(b[4:]))}; got != c.want {
			t.Errorf("off %d, flag %d are passed as %v", c.off, c.flag, got)
		}
	}
}

// The first generation only replaces files: the rest is made of that.
func TestOldWrite(t *testing.T) {
	g := plain().malloc().reads()
	// It copies the data to 9100 and its length to 9096, and answers "ok".
	g.data[9000] = "ok"
	g.fn("fs_write", "iii:I", i32(9096), get(2), store(), i32(9100), get(1), get(2), op(0xfc, 0x0a, 0, 0), pair(9000, 2))
	f := started(t, g.bytes(), vfs.Limits{}, nil)
	for _, c := range []struct {
		op   vfs.Op
		want string
	}{
		{write("new"), "new"},
		{vfs.Op{Verb: vfs.Write, Path: "/f", Data: []byte("J")}, "Jello"},
		{vfs.Op{Verb: vfs.Write, Path: "/f", Data: []byte("!"), Off: vfs.AtEnd}, "hello!"},
		{vfs.Op{Verb: vfs.Write, Path: "/f", Data: []byte("x"), Off: 7}, "hello\x00\x00x"},
		{vfs.Op{Verb: vfs.Truncate, Path: "/f", Off: 2}, "he"},
	} {
		if _, err := f.Do(t.Context(), c.op); err != nil {
			t.Error(err)
		}
		n := binary.LittleEndian.Uint32(f.memory(t, 9096, 4))
		if got := string(f.memory(t, 9100, n)); got != c.want {
			t.Errorf("%+v wrote %q, expected %q", c.op, got, c.want)
		}
	}
	if _, err := f.Do(t.Context(), vfs.Op{Verb: vfs.Chmod, Path: "/f", Mode: 0o600}); err != nil {
		t.Errorf("chmod of a module without modes: %v", err)
	}
	excl := write("x")
	excl.Flag |= vfs.FlagExclusive
	if _, err := f.Do(t.Context(), excl); vfs.KindOf(err) != vfs.Exists {
		t.Error(err)
	}
	none := plain().malloc().reads()
	none.fn("fs_write", "iii:I", pair(0, 0))
	if _, err := started(t, none.bytes(), vfs.Limits{}, nil).Do(t.Context(), write("x")); vfs.KindOf(err) != vfs.Internal {
		t.Errorf("an error without a text: %v", err)
	}
}

// A module that ignores the offset and the length is cut to them.
func TestReadsEverything(t *testing.T) {
	g := plain().malloc()
	g.data[atFile] = `{"Name":"f","Size":15,"Mode":420}` + "\x00"
	g.fn("fs_stat", "i:I", isRoot(), op(0x04, 0x7e), pair(atFile+512, 0), op(0x05), pair(atFile, 0), op(0x0b))
	g.fn("fs_readdir", "i:I", pair(0, 0))
	g.fn("fs_read", "iII:I", pair(atBytes, 15))
	f := started(t, g.bytes(), vfs.Limits{}, nil)
	for _, c := range []struct {
		n    int
		off  int64
		want string
	}{{15, 0, "hello, and more"}, {100, 0, "hello, and more"}, {5, 0, "hello"}, {4, 11, "more"}, {100, 11, "more"}, {3, 7, "and"}, {1, 15, ""}, {1, 99, ""}} {
		if got := f.mustRead(t, "/f", c.n, c.off); got != c.want {
			t.Errorf("%d at %d: %q", c.n, c.off, got)
		}
	}
	if list, err := f.List(t.Context(), nil, "/", "", 0); err != nil || len(list) != 0 {
		t.Errorf("two null pointers are an empty directory: %v, %v", list, err)
	}
}

// Empty content and an error look alike: the size tells.
func TestReadsNothing(t *testing.T) {
	for size, kind := range map[string]vfs.Kind{"0": 0, "5": vfs.Internal} {
		g := plain().malloc()
		g.data[atFile] = `{"Name":"f","Size":` + size + `,"Mode":420}` + "\x00"
		g.fn("fs_stat", "i:I", pair(atFile, 0))
		g.fn("fs_readdir", "i:I", pair(0, 0))
		g.fn("fs_read", "iII:I", pair(0, 0))
		f := started(t, g.bytes(), vfs.Limits{}, nil)
		n, err := f.ReadAt(t.Context(), nil, "/f", make([]byte, 9), 0)
		if n != 0 || kind == 0 && err != io.EOF || kind != 0 && vfs.KindOf(err) != kind {
			t.Errorf("size %s: %d, %v", size, n, err)
		}
	}
}

// The beginnings of modules: a reactor, a command, or neither; each instance has
// its own, and its settings.
func TestBeginnings(t *testing.T) {
	for _, exports := range [][]string{{"_initialize"}, {"_start"}, {"_initialize", "_start"}, {}} {
		g := newGuest()
		g.name = "twice"
		g.imp("env", "main", "ii:i")
		zero := g.imp("env", "counts", ":I")
		g.fill()
		g.malloc()
		for _, name := range exports {
			g.fn(name, ":", gget(1), i32(1), op(0x6a), gset(1))
		}
		want := int64(min(len(exports), 1))
		g.fn("plugin_initialize", "i:i", gget(1), i32(10), op(0x6a), gset(1), i32(0))
		// Without its beginning and its settings, once each, it traps.
		g.fn("fs_stat", "i:I", gget(1), i32(want+10), op(0x47, 0x04, 0x40, 0x00, 0x0b), pair(atFile, 0))
		g.fn("fs_readdir", "i:I", pair(0, 0))
		g.fn("fs_read", "iII:I", run(zero))
		f := started(t, g.bytes(), vfs.Limits{Instances: 2}, nil)
		two := func(_ context.Context, i *instance) (err error) {
			one := func(ctx context.Context, j *instance) error {
				if i == j {
					t.Error("one instance serves two")
				}
				c := j.begin(ctx)
				defer c.end()
				_, err := f.stat(c, "/f")
				return err
			}
			i.outside(func() { err = f.pool.use(t.Context(), one) })
			return err
		}
		if err := f.pool.use(t.Context(), two); err != nil {
			t.Errorf("%v: %v", exports, err)
		}
		if _, err := f.Stat(t.Context(), nil, "/f"); err != nil {
			t.Errorf("%v: %v", exports, err)
		}
	}
}
