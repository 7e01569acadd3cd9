package fsm

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// pipeLibrary describes a plugin of which only the description matters.
func pipeLibrary(name string, size int64) vfs.Library {
	return vfs.Library{Name: name, Kind: "wasm", Sum: strings.Repeat("ab", 32), Size: size, Source: "/plugins/" + name,
		Place: vfs.Pinned, Verbs: vfs.Verbs(vfs.Write)}
}

func libraryRig(t *testing.T, level uint64) *rig {
	r := newRig(t, func(o *Options) {
		o.Library = func(l vfs.Library) vfs.Plugin { return pipePlugin(l.Name, l.Place, pipe{l.Name}, nil) }
	})
	r.must(vfs.Op{Verb: vfs.Begin, Data: EncodeBegin(BeginSpec{Cluster: "c", Level: level})})
	return r
}

func TestLibraries(t *testing.T) {
	r := libraryRig(t, LibraryLevel)
	code := vfs.ChunkRef{Hash: [32]byte{7}, Len: 100}
	load := func(l vfs.Library, refs ...vfs.ChunkRef) (got Loaded) {
		t.Helper()
		out := r.must(LoadOp(l, nil, refs))
		if err := json.Unmarshal(out.Results[0].Data, &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := load(pipeLibrary("ext", 100), code); got.Name != "ext" || got.Renamed {
		t.Errorf("%+v", got)
	}
	if got := load(pipeLibrary("box", 100), code); got.Name != "box-1" || got.Original != "box" || !got.Renamed {
		t.Errorf("the name of a plugin that is compiled in: %+v", got)
	}
	sum := func() [32]byte { return sumsOf(r).State }
	before := sum()
	if load(pipeLibrary("ext", 100), code); sum() != before {
		t.Error("what is loaded again changes the state")
	}
	first, moved := LoadOp(pipeLibrary("ext", 100), nil, []vfs.ChunkRef{code}), pipeLibrary("ext", 100)
	moved.Source = "/elsewhere/ext"
	for _, op := range []vfs.Op{first, LoadOp(moved, nil, []vfs.ChunkRef{code})} {
		op.Flag = vfs.FlagExclusive
		if r.must(op); sum() != before {
			t.Error("the same code, as what must not replace anything, changes the state")
		}
	}
	moved.Sum = strings.Repeat("cd", 32)
	replace := LoadOp(moved, nil, []vfs.ChunkRef{code})
	replace.Flag = vfs.FlagExclusive
	r.fails(vfs.Exists, "loaded, with other code", replace)
	r.fails(vfs.Invalid, "node is required", specOp("/e", MountSpec{Type: "ext"}))
	r.fails(vfs.Invalid, "unknown filesystem type: other", specOp("/o", MountSpec{Type: "other", Place: vfs.Pinned, Node: "n"}))
	r.must(specOp("/e", MountSpec{Type: "ext", Node: "n"}))
	mt, _ := r.mountAt("/e")
	if mt.Place != vfs.Pinned || !mt.Verbs.Has(vfs.Write) {
		t.Errorf("%+v", mt)
	}
	if fs, err := r.NewFS(mt); err != nil || !r.SetFS(mt, fs, nil) {
		t.Error(err)
	}
	r.fails(vfs.Conflict, "mounted at /e", UnloadOp("ext"))
	r.fails(vfs.NotFound, "not loaded", UnloadOp("nothing"))

	other := pipeLibrary("ext", 50)
	other.Verbs = vfs.Verbs(vfs.Create)
	next := vfs.ChunkRef{Hash: [32]byte{8}, Len: 50}
	load(other, next)
	now, _ := r.mountAt("/e")
	if now.Seq == mt.Seq || now.ID != mt.ID || now.FS != nil || !now.Verbs.Has(vfs.Create) {
		t.Errorf("a mount of a library that was replaced: %+v", now)
	}
	i := r.Image()
	for k, v := range Rows(i.View) {
		if err := CheckRow(k, v); err != nil {
			t.Errorf("a backup with it is refused: %v", err)
		}
	}
	i.Release()
	counts := func() (n uint64) {
		i := r.Image()
		defer i.Release()
		for _, c := range Chunks(i.View) {
			n += c
		}
		return n
	}
	if n := counts(); n != 2 {
		t.Errorf("%d references", n)
	}
	r.must(unmountOp("/e"))
	r.must(UnloadOp("/plugins/ext"))
	r.must(UnloadOp("box-1"))
	if n := counts(); n != 0 {
		t.Errorf("%d references are left", n)
	}
	if _, err := r.NewFS(now); err == nil {
		t.Error("ext is still known")
	}
}

func TestLibraryRefuses(t *testing.T) {
	early := libraryRig(t, LibraryLevel-1)
	early.fails(vfs.Unsupported, "every member", LoadOp(pipeLibrary("ext", 1), []byte{1}, nil))
	r := libraryRig(t, LibraryLevel)
	for name, c := range map[string]struct {
		since uint64
		bend  func(*vfs.Library)
	}{
		"the tree":  {GrantsLevel, func(l *vfs.Library) { l.Grants.Write = []vfs.Path{"/w"} }},
		"the web":   {GrantsLevel, func(l *vfs.Library) { l.Grants.HTTP = []string{"a"} }},
		"programs":  {GrantsLevel, func(l *vfs.Library) { l.Kind = "wasi" }},
		"network":   {GrantsLevel, func(l *vfs.Library) { l.Grants.Network = true }},
		"idle":      {GrantsLevel, func(l *vfs.Library) { l.Limits.Idle = time.Second }},
		"abi":       {GrantsLevel, func(l *vfs.Library) { l.ABI = 2 }},
		"processes": {ProcessesLevel, func(l *vfs.Library) { l.Grants.Processes = true }},
	} {
		l := pipeLibrary("ext", 1)
		c.bend(&l)
		libraryRig(t, c.since-1).fails(vfs.Unsupported, "every member", LoadOp(l, []byte{1}, nil))
		later := libraryRig(t, c.since)
		later.must(LoadOp(l, []byte{1}, nil))
		img := later.Image()
		kept, _ := LibraryOf(img.View, "ext")
		img.Release()
		if !reflect.DeepEqual(kept.Grants, l.Grants) || kept.Kind != l.Kind {
			t.Errorf("%s: %+v", name, kept)
		}
	}
	for name, bend := range map[string]func(*vfs.Library){
		"no name":      func(l *vfs.Library) { l.Name = "" },
		"a path":       func(l *vfs.Library) { l.Name = "../x" },
		"a space":      func(l *vfs.Library) { l.Name = "a b" },
		"a short hash": func(l *vfs.Library) { l.Sum = "abcd" },
		"folds":        func(l *vfs.Library) { l.Place = vfs.Replicated },
		"no place":     func(l *vfs.Library) { l.Place = 0 },
		"another size": func(l *vfs.Library) { l.Size = 2 },
		"a long page":  func(l *vfs.Library) { l.Doc = strings.Repeat("x", MaxLibrary) },
	} {
		l := pipeLibrary("ext", 1)
		bend(&l)
		if out := r.ops(LoadOp(l, []byte{1}, nil)); vfs.KindOf(out.Err) != vfs.Invalid {
			t.Errorf("%s: %v", name, out.Err)
		}
	}
	if out := r.ops(vfs.Op{Verb: vfs.Enlist, Target: "{", Data: []byte{1}}); vfs.KindOf(out.Err) != vfs.Invalid {
		t.Error(out.Err)
	}
}

// A mount whose node nobody has named moves, as the one that it was and no other;
// before its level nothing of that is known.
func TestMoves(t *testing.T) {
	r := libraryRig(t, PlacementLevel-1)
	everywhere := pipeLibrary("every", 1)
	everywhere.Place, everywhere.Verbs = vfs.PerNode, 0
	for _, l := range []vfs.Library{pipeLibrary("ext", 1), everywhere} {
		r.must(LoadOp(l, []byte{1}, nil))
	}
	r.must(specOp("/early", MountSpec{Type: "ext", Node: "n1", Roams: true}))
	early, _ := r.mountAt("/early")
	r.fails(vfs.Exists, "", MoveOp(early, "n2"))
	if early.Roams {
		t.Error("a mount roams that a version of before would keep in place")
	}
	r.must(vfs.Op{Verb: vfs.Begin, Data: EncodeBegin(BeginSpec{Cluster: "c", Level: PlacementLevel})})
	r.must(specOp("/here", MountSpec{Type: "ext", Node: "n1"}))
	r.must(specOp("/any", MountSpec{Type: "ext", Node: "n1", Roams: true, Move: 0}))
	r.must(specOp("/all", MountSpec{Type: "every", Roams: true}))
	for _, p := range []vfs.Path{"/early", "/here", "/all"} {
		m, _ := r.mountAt(p)
		r.fails(vfs.Invalid, "does not move", MoveOp(m, "n2"))
	}
	before, _ := r.mountAt("/any")
	r.fails(vfs.Invalid, "does not move", MoveOp(before, ""))
	r.fails(vfs.Conflict, "not what was to move", MoveOp(vfs.Mounted{Path: "/nothing", Seq: 7}, "n2"))
	r.must(MoveOp(before, "n2"))
	after, _ := r.mountAt("/any")
	if after.Node != "n2" || !after.Roams || after.ID != before.ID || after.Seq <= before.Seq || !after.Starts() {
		t.Errorf("%+v", after)
	}
	r.fails(vfs.Conflict, "not what was to move", MoveOp(before, "n3"))

	pinnedNow := everywhere
	pinnedNow.Place = vfs.Pinned
	r.fails(vfs.Conflict, "mounted at /all", LoadOp(pinnedNow, []byte{1}, nil))
	r.must(unmountOp("/all"))
	r.must(LoadOp(pinnedNow, []byte{1}, nil))
}

// What was loaded before processes had to be granted may start them, whatever the level
// is now and also in another cluster; what is loaded later may if that is granted.
func TestLibraryProcesses(t *testing.T) {
	made := map[string]bool{}
	withLibraries := func(o *Options) {
		o.Level = ProcessesLevel + 1
		o.Library = func(l vfs.Library) vfs.Plugin {
			made[l.Name] = l.Grants.Processes
			return pipePlugin(l.Name, l.Place, pipe{l.Name}, nil)
		}
	}
	raise := func(r *rig, level uint64) {
		r.must(vfs.Op{Verb: vfs.Begin, Data: EncodeBegin(BeginSpec{Cluster: "c", Level: level})})
	}
	r := newRig(t, withLibraries)
	load := func(name, kind string, may bool) {
		l := pipeLibrary(name, 1)
		l.Kind, l.Grants.Processes = kind, may
		r.must(LoadOp(l, []byte{1}, nil))
	}
	check := func(r *rig, name string, may bool) {
		t.Helper()
		if _, ok := r.library(name); !ok || made[name] != may {
			t.Errorf("%s may start processes: %v", name, made[name])
		}
	}
	again := func(name, kind string) {
		t.Helper()
		before := sumsOf(r).State
		if load(name, kind, false); sumsOf(r).State != before {
			t.Errorf("%s, loaded again, changes the state", name)
		}
	}
	raise(r, ProcessesLevel-1)
	load("old", "native", false)
	load("module", "wasm", false)
	check(r, "old", true)
	again("old", "native")
	raise(r, ProcessesLevel)
	load("new", "http", false)
	load("granted", "http", true)
	again("old", "native")
	again("module", "wasm")
	raise(r, ProcessesLevel+1)
	again("new", "http")
	img := r.Image()
	defer img.Release()
	to := newRig(t, withLibraries)
	raise(to, ProcessesLevel)
	to.must(step(5, RestoreSpec{Step: StepBegin}))
	parts := loadRows(to, img.View, 5)
	to.must(step(5, RestoreSpec{Step: StepEnd, Parts: parts}))
	for _, r := range []*rig{r, to} {
		check(r, "old", true)
		check(r, "module", false)
		check(r, "new", false)
		check(r, "granted", true)
	}
	r.must(UnloadOp("old"))
	load("old", "native", false)
	check(r, "old", false)
}
