package native_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pfs-project/pfs/ffi"
	"github.com/pfs-project/pfs/ffi/native"
	"github.com/pfs-project/pfs/vfs"
)

// both runs a test with a library in a process and in this one.
func both(t *testing.T, code []byte, test func(t *testing.T, h *ffi.Host, p vfs.Plugin)) {
	t.Helper()
	for way, h := range hosts(t) {
		t.Run(way, func(t *testing.T) { test(t, h, plugin(t, h, code, vfs.Limits{})) })
	}
}

// PluginNew alone makes a plugin: it has a name, an empty root, and no verbs.
func TestBare(t *testing.T) {
	both(t, compiled(t, "testdata/bare.c"), func(t *testing.T, h *ffi.Host, p vfs.Plugin) {
		f, ctx := mount(t, p, vfs.Config{"a": "b"}), t.Context()
		if i, err := f.Stat(ctx, nil, "/"); err != nil || !i.IsDir() {
			t.Errorf("root: %v, %v", i, err)
		}
		if p.Type != "native-plugin" || p.Doc == "" || p.Verbs != 0 {
			t.Errorf("%q, %q, verbs %b", p.Type, p.Doc, p.Verbs)
		}
		_, statErr := f.Stat(ctx, nil, "/f")
		_, listErr := f.List(ctx, nil, "/", "", 0)
		_, readErr := f.ReadAt(ctx, nil, "/f", make([]byte, 1), 0)
		_, doErr := f.Do(ctx, vfs.Op{Verb: vfs.Create, Path: "/f"})
		for what, err := range map[string]error{"stat": statErr, "list": listErr, "read": readErr, "create": doErr} {
			if vfs.KindOf(err) != vfs.Unsupported {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// What FS functions return goes back to PFSFree, once, errors and empty answers
// too; nothing else does, and never NULL. Without PFSFree nothing is freed.
func TestOwned(t *testing.T) {
	both(t, compiled(t, "testdata/owned.c"), func(t *testing.T, h *ffi.Host, p vfs.Plugin) {
		if p.Doc != "it is not freed" {
			t.Errorf("page %q", p.Doc)
		}
		f, ctx := mount(t, p, vfs.Config{"colour": "red"}), t.Context()
		do := func(op vfs.Op) error { _, err := f.Do(ctx, op); return err }
		for range 3 {
			for what, c := range map[string]struct {
				do   func() error
				want vfs.Kind
				text string
			}{
				"stat":      {func() error { _, err := f.Stat(ctx, nil, "/f"); return err }, 0, ""},
				"stat none": {func() error { _, err := f.Stat(ctx, nil, "/none"); return err }, vfs.NotFound, ""},
				"list":      {func() error { _, err := f.List(ctx, nil, "/", "", 0); return err }, 0, ""},
				"list -1":   {func() error { _, err := f.List(ctx, nil, "/broken", "", 0); return err }, vfs.Internal, "readdir failed"},
				"read":      {func() error { _, err := f.ReadAt(ctx, nil, "/error", make([]byte, 9), 0); return err }, vfs.Permission, "permission denied"},
				"read -1":   {func() error { _, err := f.ReadAt(ctx, nil, "/silent", make([]byte, 9), 0); return err }, vfs.Internal, "read failed"},
				"write":     {func() error { return do(vfs.Op{Verb: vfs.Write, Path: "/f", Data: []byte("x")}) }, 0, ""},
				"write 0":   {func() error { return do(vfs.Op{Verb: vfs.Write, Path: "/f", Flag: vfs.FlagTruncate}) }, 0, ""},
				"write -1":  {func() error { return do(vfs.Op{Verb: vfs.Write, Path: "/minus", Data: []byte("x")}) }, vfs.Internal, "write failed"},
				"create":    {func() error { return do(vfs.Op{Verb: vfs.Create, Path: "/none"}) }, vfs.Internal, "disk quota exceeded"},
				"remove":    {func() error { return do(vfs.Op{Verb: vfs.Remove, Path: "/f"}) }, 0, ""},
				"rename":    {func() error { return do(vfs.Op{Verb: vfs.Rename, Path: "/g", To: "/f"}) }, vfs.Exists, ""},
				"rename 0":  {func() error { return do(vfs.Op{Verb: vfs.Rename, Path: "/g", To: "/h"}) }, 0, ""},
			} {
				err := c.do()
				if vfs.KindOf(err) != c.want || err != nil && !strings.Contains(err.Error(), c.text) {
					t.Errorf("%s: %v", what, err)
				}
			}
			for _, empty := range []vfs.Path{"/null", "/end"} {
				if s := text(t, f, empty); s != "" {
					t.Errorf("%s: %q", empty, s)
				}
			}
			if s := text(t, f, "/left"); s != "0" {
				t.Errorf("%s of what it has handed out did not come back", s)
			}
		}
	})
	both(t, compiled(t, "testdata/owned.c", "-DNO_FREE"), func(t *testing.T, h *ffi.Host, p vfs.Plugin) {
		f := mount(t, p, vfs.Config{"colour": "red"})
		if s := text(t, f, "/borrow"); s != "/borrow" {
			t.Errorf("what was passed in comes back as %q", s)
		}
		if s := text(t, f, "/left"); s == "0" {
			t.Error("it was freed by nobody")
		}
	})
}

// Settings are validated first, keep their types, and have the path of the mount.
func TestSettings(t *testing.T) {
	both(t, compiled(t, "testdata/owned.c"), func(t *testing.T, h *ffi.Host, p vfs.Plugin) {
		fs, err := p.New(vfs.Env{Mount: "/m", Log: discard()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := fs.(*ffi.FS)
		defer f.Close()
		if err := f.Start(t.Context()); vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), "colour is missing") {
			t.Errorf("what PluginValidate refuses: %v", err)
		}
	})
	both(t, compiled(t, "testdata/globals.c"), func(t *testing.T, h *ffi.Host, p vfs.Plugin) {
		f := mount(t, p, vfs.Config{"n": 1.5, "i": 3, "b": true, "s": "1", "l": []any{1, "x"}, "o": map[string]any{"k": nil}})
		if s, want := text(t, f, "/settings"), `{"b":true,"i":3,"l":[1,"x"],"mount_path":"/m","n":1.5,"o":{"k":null},"s":"1"}`; s != want {
			t.Errorf("%s, want %s", s, want)
		}
	})
}

// A library is what its hash says before anything of it runs, in both ways to open it.
func TestHash(t *testing.T) {
	code := compiled(t, "testdata/bare.c")
	s := ffi.Settings{Sum: strings.Repeat("0", 64)}
	copies := native.NewCopies()
	for what, open := range map[string]ffi.Open{"process": native.Open, "none": copies.Open} {
		if _, g, err := open(s, code); g != nil || err == nil || !strings.Contains(err.Error(), "not what was loaded") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Lengths are C ints: what is longer never reaches the library.
func TestLengths(t *testing.T) {
	code := compiled(t, "testdata/owned.c")
	sum := sha256.Sum256(code)
	_, g, err := native.NewCopies().Open(ffi.Settings{Sum: hex.EncodeToString(sum[:]), Config: `{"colour":1}`, ABI: 2}, code)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	long, err := unix.Mmap(-1, 0, 1<<31, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE) // nobody looks at it
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(long)
	for n, want := range map[int]vfs.Kind{1<<31 - 1: 0, 1 << 31: vfs.TooLarge} {
		if err := g.Write("/f", long[:n], 0, 0); vfs.KindOf(err) != want {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
