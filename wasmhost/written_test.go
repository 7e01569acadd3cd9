package wasmhost

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// written compiles testdata/abi.c, a module written from the ABI's description
// alone, in one of its shapes.
func written(t *testing.T, shape ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "abi.wasm")
	args := []string{"--target=wasm32", "-ffreestanding", "-fno-builtin", "-nostdlib", "-O1", "-w", "-Wl,--no-entry", "-o", out, "abi.c"}
	execute(t, "testdata", "clang", append(args, shape...)...)
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// tells returns what the module tells about something.
func (f *FS) tells(t *testing.T, what string) string {
	t.Helper()
	return f.mustRead(t, vfs.Path("/tell-"+what), 8192, 0)
}

// change is one Op, and what comes of it in a module of each generation.
type change struct {
	op       vfs.Op
	now, old string // as the module has heard it
	n        int64
	kind     vfs.Kind // how it ends; of the first generation oldKind
	oldKind  vfs.Kind
}

// everyChange is all that a client can ask for.
func everyChange() []change {
	at := func(s string, off int64, flag vfs.Flag) vfs.Op {
		return vfs.Op{Verb: vfs.Write, Path: "/f", Data: []byte(s), Off: off, Flag: flag}
	}
	fails := write("hello")
	fails.Path = "/fails"
	fresh := write("new")
	fresh.Path = "/new"
	return []change{
		{op: write("hello"), n: 5, now: "write /f off -1 flags 10 len 5 data hello", old: "write /f len 5 data hello"},
		{op: fresh, n: 3, now: "write /new off -1 flags 10 len 3 data new", old: "write /new len 3 data new"},
		{op: write(""), now: "write /f off -1 flags 10 len 0 data ", old: "write /f len 0 data "}, // its pointer is not null
		{op: at("x", 7, 0), n: 1, now: "write /f off 7 flags 0 len 1 data x", old: "write /f len 8 data hello..x"},
		{op: at("!", vfs.AtEnd, vfs.FlagCreate), n: 1, now: "write /f off -1 flags 3 len 1 data !", old: "write /f len 6 data hello!"},
		{op: at("x", -7, 0), kind: vfs.Invalid, oldKind: vfs.Invalid},
		{op: at("x", 1<<62, 0), kind: vfs.TooLarge, oldKind: vfs.TooLarge},
		{op: fails, kind: vfs.Permission, oldKind: vfs.Internal, now: "write /fails off -1 flags 10 len 5 data hello", old: "write /fails len 5 data hello"},
		{op: vfs.Op{Verb: vfs.Truncate, Path: "/f", Off: 2}, now: "write /f off -1 flags 10 len 2 data he", old: "write /f len 2 data he"},
		{op: vfs.Op{Verb: vfs.Create, Path: "/new"}, now: "create /new"},
		{op: vfs.Op{Verb: vfs.Create, Path: "/f"}, kind: vfs.Exists, oldKind: vfs.Exists},
		{op: vfs.Op{Verb: vfs.Mkdir, Path: "/new", Mode: 0o700}, now: "mode 448 mkdir /new"},
		{op: vfs.Op{Verb: vfs.Mkdir, Path: "/new"}, now: "mode 493 mkdir /new"},
		{op: vfs.Op{Verb: vfs.Rename, Path: "/f", To: "/new"}, now: "rename /f/new"},
		{op: vfs.Op{Verb: vfs.Rename, Path: "/f", To: "/a\x00b"}, kind: vfs.Invalid, oldKind: vfs.Invalid},
		{op: vfs.Op{Verb: vfs.Remove, Path: "/f"}, now: "remove /f"},
		{op: vfs.Op{Verb: vfs.Remove, Path: "/none"}, kind: vfs.NotFound, oldKind: vfs.NotFound},
		{op: vfs.Op{Verb: vfs.Touch, Path: "/f"}, kind: vfs.Unsupported, oldKind: vfs.Unsupported},
	}
}

// Both generations, in the shapes of all published SDKs, hear what the ABI says, and
// what is passed to them and what they return is given back as they want it.
func TestGenerations(t *testing.T) {
	for _, shape := range [][]string{
		{}, {"-DWHOLE"}, {"-DSIZED"}, {"-DPACKED"}, {"-DBUFFERS"}, {"-DBUFFERS", "-DSIZED", "-DPACKED"}, {"-DBUFFERS", "-DNO_MALLOC"},
		{"-DOLD"}, {"-DOLD", "-DSIZED"}, {"-DOLD", "-DBUFFERS", "-DNO_MALLOC"},
	} {
		t.Run(strings.Join(shape, ""), func(t *testing.T) {
			has := strings.Join(shape, " ")
			old := strings.Contains(has, "OLD")
			f := started(t, written(t, shape...), vfs.Limits{}, nil)
			before := f.tells(t, "live")
			list := append(everyChange(), change{op: vfs.Op{Verb: vfs.RemoveAll, Path: "/f"}, now: "remove /f"},
				change{op: vfs.Op{Verb: vfs.Chmod, Path: "/f", Mode: 0o600}})
			if strings.Contains(has, "WHOLE") {
				list[len(list)-2].now, list[len(list)-1].now = "remove all /f", "mode 384 chmod /f"
			}
			for _, c := range list {
				if old {
					c.kind = c.oldKind
					if c.old != "" {
						c.now = c.old
					}
				}
				r, err := f.Do(t.Context(), c.op)
				if vfs.KindOf(err) != c.kind || err == nil && r.N != c.n {
					t.Errorf("%v %s: %d, %v", c.op.Verb, c.op.Path, r.N, err)
				}
				if got := strings.TrimSuffix(f.tells(t, "log"), "\n"); got != c.now {
					t.Errorf("%v %s: it heard %q, expected %q", c.op.Verb, c.op.Path, got, c.now)
				}
			}
			if after := f.tells(t, "live"); after != before || !strings.HasSuffix(after, "strange 0 ") {
				t.Errorf("before %q, after %q", before, after)
			}
			reads(t, f)
		})
	}
}

// reads compares what a module of any shape shows.
func reads(t *testing.T, f *FS) {
	t.Helper()
	i, err := f.Stat(t.Context(), nil, "/f")
	if want := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC); err != nil || i.Size != 5 || i.Mode != 0o644 || !i.ModTime.Equal(want) ||
		i.Meta.Type != "t" || fmt.Sprint(i.Meta.Content) != `map[n:1 o:{"deep":[1,2]} s:x]` {
		t.Errorf("%+v, %v", i, err)
	}
	list, err := f.List(t.Context(), nil, "/", "", 0)
	if err != nil || len(list) != 2 || list[0].Name != "d" || !list[0].IsDir() || list[1].Name != "f" {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := f.List(t.Context(), nil, "/d", "", 0); err != nil || len(list) != 0 {
		t.Errorf("an empty directory: %v, %v", list, err)
	}
	for p, want := range map[vfs.Path]vfs.Kind{"/none": vfs.NotFound, "/silent": vfs.NotFound, "/a\x00b": vfs.Invalid} {
		if _, err := f.Stat(t.Context(), nil, p); vfs.KindOf(err) != want {
			t.Errorf("stat %q: %v", p, err)
		}
	}
	if got := f.mustRead(t, "/f", 3, 1); got != "ell" {
		t.Errorf("a part of what ignores the offset: %q", got)
	}
}

// What a client is told follows from the words of an error, of whatever function.
func TestWords(t *testing.T) {
	f := started(t, written(t), vfs.Limits{}, nil)
	for n, want := range []vfs.Kind{vfs.NotFound, vfs.Permission, vfs.Exists, vfs.IsDirectory, vfs.NotDirectory,
		vfs.Permission, vfs.Invalid, vfs.Internal, vfs.Internal, vfs.Unsupported, vfs.NotEmpty} {
		p := vfs.Path(fmt.Sprintf("/says/%02d", n))
		_, statErr := f.Stat(t.Context(), nil, p)
		removeErr := f.with(t.Context(), func(c *call) error { return c.onPath("fs_remove", p) })
		for _, err := range []error{statErr, removeErr} {
			if vfs.KindOf(err) != want || want == vfs.Internal && !strings.Contains(err.Error(), []string{"a disk", "something"}[n-7]) {
				t.Errorf("%d: %v", n, err)
			}
		}
	}
	if got := f.tells(t, "live"); !strings.HasSuffix(got, "strange 0 ") {
		t.Error(got)
	}
}

// What a module says of itself, and how little it may say.
func TestSaysWhatItIs(t *testing.T) {
	lib, err := newHost(t).Inspect(t.Context(), written(t), vfs.Limits{})
	if err != nil || lib.Name != "from-the-page" || lib.Doc != "# A page" || len(lib.Params) != 2 ||
		lib.Params[0] != (vfs.Param{Name: "a", Type: "string", Required: true, Default: "x", Description: "d"}) || lib.Params[1].Default != "5" {
		t.Errorf("%+v, %v", lib, err)
	}
	bare := written(t, "-DBARE")
	lib, err = newHost(t).Inspect(t.Context(), bare, vfs.Limits{})
	if err != nil || lib.Name != "wasm-plugin" || lib.Doc == "" || lib.Verbs != 0 || len(lib.Params) != 0 {
		t.Errorf("%+v, %v", lib, err)
	}
	f := started(t, bare, vfs.Limits{}, nil)
	if _, err := f.Do(t.Context(), write("x")); vfs.KindOf(err) != vfs.Unsupported {
		t.Error(err)
	}
	reads(t, f)
	two := plain().reads()
	two.fn("get_input_buffer_ptr", ":i", i32(20_000))
	two.fn("get_shared_buffer_size", ":i", i32(4096))
	if _, err := newHost(t).Inspect(t.Context(), two.bytes(), vfs.Limits{}); vfs.KindOf(err) != vfs.Invalid {
		t.Errorf("two of the three functions of the buffers: %v", err)
	}
}

// Each mount passes its own settings, with where it is, to each of its instances; a
// module may refuse them twice, and two mounts of it have nothing in common.
func TestSettings(t *testing.T) {
	module := written(t)
	one := started(t, module, vfs.Limits{Instances: 3}, vfs.Config{"a": "x"})
	two := started(t, module, vfs.Limits{}, vfs.Config{"a": "y", "n": 5})
	for range 10 {
		if got := one.tells(t, "config"); got != `{"a":"x","mount_path":"/at"}` {
			t.Error(got)
		}
	}
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	if got := two.tells(t, "config"); got != `{"a":"y","mount_path":"/at","n":5}` {
		t.Error(got)
	}
	if _, err := one.Stat(t.Context(), nil, "/f"); vfs.KindOf(err) != vfs.Unavailable {
		t.Errorf("after its end: %v", err)
	}
	if err := one.Start(t.Context()); err != nil || one.tells(t, "begun") != "begun 0 constructed 0 made 1 initialized 1" {
		t.Errorf("a second start: %v", err)
	}
	for setting, words := range map[string]string{"refuse": "validation failed: not like this", "hesitate": "initialization failed: not now"} {
		fs, err := plugin(t, newHost(t), module, vfs.Limits{}).New(vfs.Env{Log: newHost(t).log, Mount: "/at"}, vfs.Config{setting: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := fs.(*FS).Start(t.Context()); vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", setting, err)
		}
	}
}

// Constructors run once, before anything else, whichever beginning a module has.
func TestConstructors(t *testing.T) {
	for shape, want := range map[string]string{
		"-DREACTOR": "begun 1 constructed 1", "-DCOMMAND": "begun 10 constructed 1", "-DREACTOR -DCOMMAND": "begun 1 constructed 1",
		"-DWHOLE": "begun 0 constructed 0",
	} {
		f := started(t, written(t, strings.Fields(shape)...), vfs.Limits{Instances: 2}, nil)
		if err := f.pool.use(t.Context(), func(_ context.Context, i *instance) error {
			i.outside(func() {
				if got := f.tells(t, "begun"); got != want+" made 1 initialized 1" {
					t.Errorf("%s: the second instance: %s", shape, got)
				}
			})
			return nil
		}); err != nil {
			t.Error(err)
		}
		if got := f.tells(t, "begun"); got != want+" made 1 initialized 1" {
			t.Errorf("%s: %s", shape, got)
		}
	}
}

// What nobody knows does nothing, what is refused says so, a pointer to nowhere is
// an error, and what the host allocates it frees.
func TestImports(t *testing.T) {
	for _, shape := range []string{"-DWHOLE", "-DSIZED"} {
		f := started(t, written(t, shape), vfs.Limits{}, nil)
		before := f.tells(t, "live")
		for what, want := range map[string]string{"unknown": "0", "host": "permission denied", "wild": "outside of memory"} {
			for range 50 {
				if got := f.tells(t, what); !strings.Contains(got, want) || what == "wild" && !strings.HasSuffix(got, "00") {
					t.Fatalf("%s: %q", what, got)
				}
			}
		}
		if after := f.tells(t, "live"); after != before {
			t.Errorf("before %q, after %q", before, after)
		}
	}
}

// The clock goes, chance is chance, and nothing else of the system is there.
func TestSystem(t *testing.T) {
	var log syncedBuffer
	h, err := New("", nil, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	f := mounted(t, plugin(t, h, written(t), vfs.Limits{}), vfs.Env{Log: h.log, Mount: "/at"}, nil)
	now, err := strconv.ParseInt(f.tells(t, "clock"), 10, 64)
	if d := time.Since(time.Unix(now, 0)); err != nil || d < -time.Minute || d > 5*time.Minute {
		t.Errorf("its clock is %v behind, %v", d, err)
	}
	first, err := strconv.ParseInt(f.tells(t, "monotonic"), 10, 64)
	if err != nil {
		t.Error(err)
	}
	if second, err := strconv.ParseInt(f.tells(t, "monotonic"), 10, 64); err != nil || second <= first {
		t.Errorf("%d, then %d, %v", first, second, err)
	}
	if a, b := f.tells(t, "random"), f.tells(t, "random"); a == b || len(a) < 8 {
		t.Errorf("chance: %s, %s", a, b)
	}
	for what, want := range map[string]string{"env": "0 0", "args": "0 0", "dirs": "8"} { // 8: no such descriptor
		if got := f.tells(t, what); got != want {
			t.Errorf("%s: %q", what, got)
		}
	}
	f.tells(t, "print")
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if s := log.String(); strings.Count(s, "it prints") != 2 || strings.Count(s, "it shuts down") != 1 {
		t.Error(s)
	}
	if err := h.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// syncedBuffer is a buffer that a log may write to.
type syncedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncedBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncedBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A module that exits is gone with its memory, and the next call gets a new one; one
// whose malloc fails is not.
func TestExitsAndStarves(t *testing.T) {
	f := started(t, written(t), vfs.Limits{}, nil)
	for range 3 {
		if _, err := f.Do(t.Context(), write("kept")); err != nil {
			t.Error(err)
		}
		_, err := f.ReadAt(t.Context(), nil, "/tell-exit", make([]byte, 9), 0)
		if vfs.KindOf(err) != vfs.Crashed || !strings.Contains(err.Error(), "exited with code 3") {
			t.Error(err)
		}
		if got := f.tells(t, "log") + f.tells(t, "begun"); got != "begun 0 constructed 0 made 1 initialized 1" {
			t.Error(got)
		}
	}
	f.tells(t, "starve")
	for range 2 {
		if _, err := f.Do(t.Context(), write(strings.Repeat("x", 100))); vfs.KindOf(err) != vfs.TooLarge || !strings.Contains(err.Error(), "no memory") {
			t.Error(err)
		}
		if r, err := f.Do(t.Context(), write("short")); err != nil || r.N != 5 {
			t.Error(r, err)
		}
	}
	if got := f.tells(t, "log"); strings.Count(got, "short") != 2 || strings.Contains(got, "xxx") {
		t.Errorf("%q", got)
	}
}

// A module that answers everything out of one block of memory still gives every
// caller what he has asked for.
func TestOneAnswerForAll(t *testing.T) {
	for _, many := range []int{1, 3} {
		f := started(t, written(t, "-DBUFFERS", "-DNO_MALLOC"), vfs.Limits{Instances: many}, vfs.Config{"long": strings.Repeat("y", 2000)})
		settings := f.tells(t, "config")
		var wg sync.WaitGroup
		for n := range 16 {
			wg.Go(func() {
				for range 100 {
					if n%2 == 0 {
						if got := f.tells(t, "config"); got != settings || len(got) < 2000 {
							t.Errorf("%d bytes: %.40q", len(got), got)
						}
					} else if got := f.mustRead(t, "/f", 9, 0); got != "hello" {
						t.Errorf("%q", got)
					}
				}
			})
		}
		wg.Wait()
	}
}
