package wasmhost

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// grove is a tree of nothing but links.
type grove map[vfs.Path]vfs.Path

func (g grove) Image() vfs.Image { return g }
func (g grove) Release()         {}

func (g grove) Lookup(context.Context, string, vfs.Path) (vfs.Info, vfs.Path, error) {
	return vfs.Info{}, "", vfs.NotFound
}

func (g grove) Resolve(_ context.Context, p vfs.Path, final bool) (vfs.Path, error) {
	if to, ok := g[p]; ok && final {
		return to, nil
	}
	if to, ok := g[p.Dir()]; ok {
		return to.Child(p.Base()), nil
	}
	return p, nil
}

func (g grove) List(context.Context, vfs.Path, string, int) ([]vfs.Info, error) { return nil, nil }

func (g grove) ReadAt(context.Context, vfs.Path, []byte, int64) (int, error) { return 0, io.EOF }

// changed writes down what is changed; what is called "refused" cannot be.
type changed struct{ ops []string }

func (c *changed) Change(ctx context.Context, plugin string, op vfs.Op) error {
	c.ops = append(c.ops, fmt.Sprintf("%s %s%v %s%s %o %d", plugin, op.Verb, map[bool]string{true: "*"}[op.Verb == vfs.RemoveAll], op.Path, op.To, op.Mode, len(op.Data)))
	if op.Path.Base() == "refused" {
		return vfs.At(vfs.NotEmpty, op.Verb.String(), op.Path)
	}
	if len(vfs.Via(ctx)) == 0 {
		return vfs.Internal.With("nobody knows who asks")
	}
	return nil
}

// through is a guest whose functions are those of the host.
func through() *guest {
	g := newGuest()
	pass := func(n int, params int) (body []byte) {
		for p := range params {
			body = cat(body, get(uint64(p)))
		}
		return cat(body, run(n))
	}
	write := g.imp("env", "host_fs_write", "iii:I")
	one := map[string]int{}
	for _, name := range []string{"create", "remove", "remove_all"} {
		one[name] = g.imp("env", "host_fs_"+name, "i:i")
	}
	two := map[string]int{}
	for _, name := range []string{"mkdir", "chmod", "rename"} {
		two[name] = g.imp("env", "host_fs_"+name, "ii:i")
	}
	ask := g.imp("env", "host_http_request", "i:I")
	g.fill()
	g.malloc().reads()
	g.fn("fs_write", "iiiIi:I", pass(write, 3))
	for _, name := range []string{"create", "remove", "remove_all"} {
		g.fn("fs_"+name, "i:i", pass(one[name], 1))
	}
	for _, name := range []string{"mkdir", "chmod", "rename"} {
		g.fn("fs_"+name, "ii:i", pass(two[name], 2))
	}
	g.fn("ask", "i:I", pass(ask, 1))
	return g
}

// granted mounts a module at /own.
func granted(t *testing.T, module []byte, tree vfs.Tree, change Changer, grants vfs.Grants) *FS {
	t.Helper()
	h := newHost(t)
	h.change = change
	lib, err := h.Inspect(t.Context(), module, vfs.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	lib.Name, lib.Grants = "p", grants
	p := h.Plugin(lib, func(context.Context, vfs.Chunks, vfs.Library) ([]byte, error) { return module, nil })
	return mounted(t, p, vfs.Env{Log: slog.New(slog.DiscardHandler), Mount: "/own", Tree: tree}, nil)
}

// asks has the guest call a function of the host with texts and numbers.
func (f *FS) asks(t *testing.T, name string, args ...any) error {
	t.Helper()
	return f.with(t.Context(), func(c *call) error { return c.asks(name, args...) })
}

func (c *call) asks(name string, args ...any) error {
	var list []uint64
	for _, a := range args {
		switch a := a.(type) {
		case string:
			at, err := c.str(a)
			if err != nil {
				return err
			}
			list = append(list, at)
		case int:
			list = append(list, uint64(a))
		}
	}
	return c.done(name, list...)
}

// put writes with the function of the host.
func (f *FS) puts(t *testing.T, p string, data []byte) (n int64, err error) {
	t.Helper()
	err = f.with(t.Context(), func(c *call) error {
		n, err = f.put(c, vfs.Path(p), data, offWholeFile, replace)
		return err
	})
	return n, err
}

// Each function changes what is granted, under the path that it leads to, in the
// name of the plugin.
func TestChanges(t *testing.T) {
	c := &changed{}
	f := granted(t, through().bytes(), grove{"/w/link": "/w/real", "/w/dir": "/w/other"}, c, vfs.Grants{Write: []vfs.Path{"/w", "/own2"}})
	for _, step := range []struct {
		name string
		args []any
		want string
	}{
		{"fs_create", []any{"/w/a"}, "p create /w/a 0 0"},
		{"fs_mkdir", []any{"/w/d", 0o40750}, "p mkdir /w/d 750 0"},
		{"fs_remove", []any{"/w/link"}, "p remove /w/link 0 0"},
		{"fs_remove_all", []any{"/w"}, "p remove* /w 0 0"},
		{"fs_chmod", []any{"/w/link", 0o600}, "p chmod /w/real 600 0"},
		{"fs_rename", []any{"/w/dir/x", "/own2"}, "p rename /w/other/x/own2 0 0"},
	} {
		if err := f.asks(t, step.name, step.args...); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if got := c.ops[len(c.ops)-1]; got != step.want {
			t.Errorf("%s: %s, expected %s", step.name, got, step.want)
		}
	}
	for _, data := range []string{"12345", ""} { // no bytes are no failure
		if n, err := f.puts(t, "/w/link", []byte(data)); err != nil || n != int64(len(data)) {
			t.Errorf("%d, %v", n, err)
		}
		if got, want := c.ops[len(c.ops)-1], fmt.Sprintf("p write /w/real 0 %d", len(data)); got != want {
			t.Errorf("%s, expected %s", got, want)
		}
	}
	if err := f.asks(t, "fs_remove", "/w/refused"); vfs.KindOf(err) != vfs.NotEmpty {
		t.Errorf("what the tree answers: %v", err)
	}
}

// What is not granted, leads out of it or to the plugin itself is refused with the
// reason, and nothing is changed.
func TestChangesRefused(t *testing.T) {
	links := grove{"/w/out": "/elsewhere/x", "/w/outdir": "/elsewhere", "/w/me": "/own/f", "/w/mydir": "/own"}
	c := &changed{}
	f := granted(t, through().bytes(), links, c, vfs.Grants{Read: []vfs.Path{"/"}, Write: []vfs.Path{"/w", "/own"}})
	for _, step := range []struct {
		name string
		args []any
		text string
	}{
		{"fs_create", []any{"/r"}, "no grant to change it"},
		{"fs_create", []any{"/"}, "no grant to change it"},
		{"fs_create", []any{"/wx"}, "no grant to change it"},
		{"fs_create", []any{"/w/../r"}, "no grant to change it"},
		{"fs_create", []any{"/w/out"}, "what it leads to"},
		{"fs_create", []any{"/w/outdir/x"}, "what it leads to"},
		{"fs_mkdir", []any{"/w/outdir/x", 0}, "what it leads to"},
		{"fs_chmod", []any{"/w/out", 0}, "what it leads to"},
		{"fs_remove", []any{"/w/outdir/x"}, "what it leads to"},
		{"fs_rename", []any{"/w/a", "/r"}, "no grant to change it"},
		{"fs_rename", []any{"/r", "/w/a"}, "no grant to change it"},
		{"fs_rename", []any{"/w/a", "/w/outdir/x"}, "what it leads to"},
		{"fs_remove_all", []any{"/own"}, "its own mount"},
		{"fs_create", []any{"/own/f"}, "its own mount"},
		{"fs_create", []any{"/w/me"}, "its own mount"},
		{"fs_mkdir", []any{"/w/mydir/x", 0}, "its own mount"},
		{"fs_create", []any{strings.Repeat("/x", 3000)}, "more than"},
		{"fs_create", []any{0}, "outside"},
		{"fs_create", []any{1 << 30}, "outside"},
	} {
		if err := f.asks(t, step.name, step.args...); err == nil || !strings.Contains(err.Error(), step.text) {
			t.Errorf("%s %.40v: %v, expected %s", step.name, step.args, err, step.text)
		}
	}
	for _, p := range []string{"/r", "/w/out", "/own/f"} {
		if _, err := f.puts(t, p, []byte("x")); vfs.KindOf(err) != vfs.Permission {
			t.Errorf("write %s: %v", p, err)
		}
	}
	if len(c.ops) > 0 {
		t.Errorf("changed: %v", c.ops)
	}
	for name, f := range map[string]*FS{
		"no grant":  granted(t, through().bytes(), grove{}, c, vfs.Grants{Read: []vfs.Path{"/"}}),
		"no writer": granted(t, through().bytes(), grove{}, nil, vfs.Grants{Write: []vfs.Path{"/"}}),
		"no tree":   granted(t, through().bytes(), nil, c, vfs.Grants{Write: []vfs.Path{"/"}}),
	} {
		if err := f.asks(t, "fs_create", "/a"); vfs.KindOf(err) != vfs.Permission {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A call changes so much and no more; the next one may again.
func TestChangesBounded(t *testing.T) {
	c := &changed{}
	g := through()
	g.pages = 400
	f := granted(t, g.bytes(), grove{}, c, vfs.Grants{Write: []vfs.Path{"/w"}})
	for range 2 {
		c.ops = nil
		last := error(nil)
		_ = f.with(t.Context(), func(c *call) error {
			for range 3 * maxAsks {
				last = c.asks("fs_create", "/w/a")
			}
			return nil
		})
		if len(c.ops) != maxAsks || last == nil || !strings.Contains(last.Error(), "100 times") {
			t.Errorf("%d changes of one call, then %v", len(c.ops), last)
		}
	}
	if _, err := f.puts(t, "/w/a", make([]byte, maxWrite+1)); vfs.KindOf(err) != vfs.TooLarge {
		t.Errorf("a large file: %v", err)
	}
	c.ops = nil
	err := f.with(t.Context(), func(c *call) (err error) {
		data := make([]byte, maxWrite)
		at, err := c.data(data)
		if err != nil {
			return err
		}
		to, err := c.str("/w/a")
		for range 10 {
			low, high, rerr := c.run("fs_write", to, at, maxWrite, 0, 0)
			if rerr != nil {
				return rerr
			}
			if _, werr := c.wrote(low, high, maxWrite); werr != nil {
				return werr
			}
		}
		return err
	})
	if len(c.ops) != maxWritten/maxWrite || err == nil || !strings.Contains(err.Error(), "a call may write") {
		t.Errorf("%d large files of one call, then %v", len(c.ops), err)
	}
}

// Mounts that wait for each other are found out, however far it goes.
func TestCircle(t *testing.T) {
	ctx := context.Background()
	var err error
	for n := range maxNested {
		if ctx, err = enter(ctx, mark("c", vfs.Path("/"+string(rune('a'+n))))); err != nil {
			t.Fatal(err)
		}
		if _, err := enter(ctx, mark("c", "/a")); vfs.KindOf(err) != vfs.Conflict {
			t.Errorf("%d: a mount waits for itself: %v", n, err)
		}
	}
	if _, err := enter(ctx, mark("c", "/z")); vfs.KindOf(err) != vfs.Conflict {
		t.Errorf("the fifth: %v", err)
	}
	if mark("c", "/a") == mark("d", "/a") || mark("c", "/a") == mark("c", "/b") {
		t.Error("two mounts are taken for one")
	}
}
