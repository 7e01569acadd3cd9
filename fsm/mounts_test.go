package fsm

import (
	"reflect"
	"strings"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pfs-project/pfs/vfs"
)

func specOp(p vfs.Path, s MountSpec) vfs.Op {
	return vfs.Op{Verb: vfs.Mount, Path: p, Data: EncodeMount(s)}
}

func unmountOp(p vfs.Path) vfs.Op { return vfs.Op{Verb: vfs.Unmount, Path: p} }

func (r *rig) mountAt(p vfs.Path) (vfs.Mounted, bool) {
	i := r.Image()
	defer i.Release()
	mt, rel, ok := i.Table.Route(p)
	return mt, ok && rel.IsRoot()
}

func TestMountRefusals(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/b", "box"))
	for _, c := range []struct {
		op   vfs.Op
		kind vfs.Kind
		text string
	}{
		{mountOp("/b", "box"), vfs.Exists, "mount already exists: /b"},
		{mountOp("/b", "memfs"), vfs.Exists, "mount already exists: /b"},
		{mountOp("/", "box"), vfs.Permission, "mount: /: permission denied"},
		{mountOp("/a//b", "box"), vfs.Invalid, "not clean"},
		{mountOp("", "box"), vfs.Invalid, "empty path"},
		{mountOp("/x", "nonefs"), vfs.Invalid, "unknown filesystem type: nonefs"},
		{mountOp("/x", ""), vfs.Invalid, "unknown filesystem type: "},
		{vfs.Op{Verb: vfs.Mount, Path: "/x", Data: []byte("{")}, vfs.Invalid, "bad settings"},
		{specOp("/x", MountSpec{Type: "box", Config: vfs.Config{"foo": 1}}), vfs.Invalid,
			"unknown configuration parameter(s) 'foo' - allowed parameters are: 'size', 'password'"},
		{specOp("/x", MountSpec{Type: "box", Config: vfs.Config{"size": "big"}}), vfs.Invalid, "size must be an integer"},
		{specOp("/x", MountSpec{Type: "memfs", Config: vfs.Config{"init_dirs": 7}}), vfs.Invalid, "init_dirs must be an array"},
		{mountOp("/x", "pinned"), vfs.Invalid, "node is required"},
		{specOp("/x", MountSpec{Type: "so/me", Place: vfs.Shared}), vfs.Invalid, "fstype"},
		{unmountOp("/x"), vfs.NotFound, "no mount at path: /x (not found)"},
	} {
		r.fails(c.kind, c.text, c.op)
	}
	r.fails(vfs.Invalid, "one mount at a time", mountOp("/x", "box"), mountOp("/y", "box"))
	if out := r.ops(unmountOp("/x")); out.Err.Error() != "no mount at path: /x (not found)" {
		t.Error(out.Err)
	}
}

func TestReattach(t *testing.T) {
	fs := pebblevfs.NewMem()
	open := func() *rig { return newRig(t, func(o *Options) { o.Store = memoryStore(t, fs) }) }
	r := open()
	first := r.must(mountOp("/b", "box"))
	r.must(write("/b/x", "kept"))
	if first.Results[0].File == 0 || first.Results[0].Version != first.Seq {
		t.Fatalf("%+v", first.Results[0])
	}
	mountedOnce := func() string {
		b, _ := r.store.View().Get(append(vfs.MountPrefix(first.Results[0].File), "mounted"...))
		return string(b)
	}
	r.must(unmountOp("/b"))
	if r.read("/b/x") != "-" {
		t.Error("still mounted")
	}
	other := r.must(mountOp("/b", "memfs")) // another type starts afresh
	if other.Results[0].File == first.Results[0].File || r.read("/b/x") != "-" {
		t.Error("another type took the state")
	}
	r.must(unmountOp("/b"))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open()
	again := r.must(specOp("/b", MountSpec{Type: "box", Config: vfs.Config{"size": 5}}))
	if again.Results[0].File != first.Results[0].File || again.Results[0].Version != again.Seq {
		t.Errorf("%+v, was %+v", again.Results[0], first.Results[0])
	}
	if r.read("/b/x") != "kept" || mountedOnce() != "x" {
		t.Errorf("read %q, mounted %q", r.read("/b/x"), mountedOnce())
	}
	mt, _ := r.mountAt("/b")
	if n, err := mt.Config.Int("size", 0); n != 5 || err != nil || mt.Seq != again.Seq {
		t.Errorf("%+v", mt)
	}
}

func TestFileMounts(t *testing.T) {
	r := newRig(t, nil)
	file := FileMount{Path: "/f", Type: "box", Config: vfs.Config{"size": uint64(3)}}
	changed := file
	changed.Config = vfs.Config{"size": 4}
	first := r.must(file.Op(""))
	again := r.must(file.Op(""))
	if again.Results[0].Version != first.Seq || again.Results[0].File != first.Results[0].File {
		t.Errorf("%+v", again)
	}
	r.fails(vfs.Exists, "mount already exists: /f", changed.Op(""))
	r.must(unmountOp("/f"))
	r.fails(vfs.Permission, "unmounted; mount it again by request", file.Op(""))
	r.must(changed.Op("")) // a changed entry is a new wish
	r.must(unmountOp("/f"))
	r.fails(vfs.Permission, "by request", changed.Op(""))
	r.must(specOp("/f", MountSpec{Type: "box", Config: changed.Config})) // by request
	r.must(changed.Op(""))                                               // it is there: the file takes it over
	r.must(unmountOp("/f"))
	r.fails(vfs.Permission, "by request", changed.Op(""))
	r.must(mountOp("/f", "box"))
	r.must(unmountOp("/f")) // not from a file: nothing is remembered
	r.must(changed.Op(""))
}

func TestDevices(t *testing.T) {
	fs := pebblevfs.NewMem()
	told := 0
	open := func() *rig {
		return newRig(t, func(o *Options) {
			o.Store = memoryStore(t, fs)
			o.OnMounts = func() { told++ }
		})
	}
	r := open()
	r.must(mountOp("/pipe", "pipe"))
	r.must(mountOp("/slow", "slow"))
	r.must(mountOp("/broken", "broken"))
	r.must(specOp("/here", MountSpec{Type: "pinned", Node: "n1"}))
	r.must(specOp("/there", MountSpec{Type: "pinned", Node: "n2"}))
	r.must(specOp("/ext", MountSpec{Type: "ext", Place: vfs.Shared, Verbs: vfs.Verbs(vfs.Write)}))
	if told != 6 {
		t.Errorf("told %d times", told)
	}
	check := func() {
		t.Helper()
		for p, want := range map[vfs.Path]string{"/pipe": "up", "/slow": "starting", "/broken": "no such disk",
			"/here": "starting", "/there": "starting", "/ext": "starting"} {
			mt, ok := r.mountAt(p)
			got := "up"
			if mt.Err != nil {
				got = mt.Err.Error()
			}
			if !ok || got != want || (mt.FS != nil) != (want == "up") {
				t.Errorf("%s: %v %v, want %s", p, got, mt.FS, want)
			}
		}
	}
	check()
	digest := r.digest()
	slow, _ := r.mountAt("/slow")
	if fs, err := r.NewFS(slow); err != nil || !r.SetFS(slow, fs, nil) {
		t.Error(err)
	}
	if mt, _ := r.mountAt("/slow"); mt.FS == nil || mt.Err != nil {
		t.Errorf("%+v", mt)
	}
	r.must(mountOp("/b", "box")) // what SetFS said stays
	if mt, _ := r.mountAt("/slow"); mt.FS == nil {
		t.Error("a mount elsewhere took it down")
	}
	r.must(unmountOp("/b"))
	r.fails(vfs.Moved, "", write("/slow/x", "1"))
	r.must(unmountOp("/slow"))
	if r.SetFS(slow, pipe{}, nil) || r.SetFS(vfs.Mounted{ID: 12345}, pipe{}, nil) {
		t.Error("SetFS of no mount")
	}
	if out := r.must(mountOp("/slow", "slow")); out.Results[0].File != slow.ID {
		t.Error("a Device comes back under another id")
	}
	check() // mounted anew, it has to start anew
	if r.digest() == digest {
		t.Error("nothing happened")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open()
	check()
}

// A node that lacks a plugin that folds cannot follow the log.
func TestMissingPlugin(t *testing.T) {
	fs := pebblevfs.NewMem()
	r := newRig(t, func(o *Options) { o.Store = memoryStore(t, fs) })
	r.must(mountOp("/b", "box"))
	_ = r.Close()
	st := memoryStore(t, fs)
	if _, err := Open(Options{Store: st}); err == nil || !strings.Contains(err.Error(), "unknown filesystem type: box") {
		t.Error(err)
	}
}

func TestSpecs(t *testing.T) {
	spec := MountSpec{Type: "t", Config: vfs.Config{"big": uint64(1<<62 + 1), "f": 1.5, "w": 1e3, "s": "<&>",
		"list": []any{1, "a"}, "map": map[string]any{"k": 2}}, Node: "n", FromFile: true}
	got, err := DecodeMount(EncodeMount(spec))
	if err != nil {
		t.Fatal(err)
	}
	want := vfs.Config{"big": int64(1<<62 + 1), "f": 1.5, "w": int64(1000), "s": "<&>",
		"list": []any{int64(1), "a"}, "map": map[string]any{"k": int64(2)}}
	if !reflect.DeepEqual(got.Config, want) {
		t.Errorf("%#v", got.Config)
	}
	if !got.same(spec) || got.same(MountSpec{Type: "t"}) {
		t.Error("same")
	}
	// What JSON cannot hold asks for no type at all, and is refused.
	if got, err := DecodeMount(EncodeMount(MountSpec{Type: "t", Config: vfs.Config{"c": make(chan int)}})); err != nil || got.Type != "" {
		t.Error(got, err)
	}
	c := vfs.Config{"password": "x", "size": 1}
	masked := MaskConfig(boxPlugin().Params, c)
	if masked["password"] != Masked || masked["size"] != 1 || c["password"] != "x" || MaskConfig(nil, nil) != nil {
		t.Errorf("%v", masked)
	}
}
