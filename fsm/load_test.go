package fsm

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
)

func step(id uint64, s RestoreSpec, refs ...vfs.ChunkRef) vfs.Op {
	return vfs.Op{Verb: vfs.Restore, Path: vfs.Root, File: id, Data: EncodeRestore(s), Refs: refs}
}

func fileMount(p vfs.Path, kind string) vfs.Op { return FileMount{Path: p, Type: kind}.Op("read me") }

// fresh is a cluster that has formed and has the mounts of its configuration.
func fresh(t *testing.T) *rig {
	r := newRig(t, nil)
	r.must(vfs.Op{Verb: vfs.Begin, Data: EncodeBegin(BeginSpec{Cluster: "new", Node: "x"})})
	r.must(vfs.Op{Verb: vfs.Member, Data: EncodeMember(Member{ID: "x", HTTP: "h"})})
	r.must(fileMount("/m", "memfs"))
	r.must(fileMount("/b", "box"))
	r.must(fileMount("/p", "pipe"))
	return r
}

// source is a cluster with something of everything in it.
func source(t *testing.T) *rig {
	r := newRig(t, nil)
	r.must(vfs.Op{Verb: vfs.Begin, Data: EncodeBegin(BeginSpec{Cluster: "old", Node: "y"})})
	for _, l := range randomLog(7, 80) {
		l.Index = r.next
		r.Apply(l)
		r.next++
	}
	r.clock = r.clock.Add(time.Hour)
	r.must(fileMount("/m", "memfs"))
	r.must(mountOp("/own", "box"))
	r.must(write("/own/take", "job"))
	r.must(write("/own/big", "", chunk(77), chunk(78)))
	r.must(vfs.Op{Verb: vfs.Write, Path: "/m/long", Data: bytes.Repeat([]byte("x"), vfs.MaxInline), Flag: vfs.FlagCreate})
	r.must(vfs.Op{Verb: vfs.Stage, File: 99, Refs: manyRefs(2000)})
	return r
}

func manyRefs(n int) (refs []vfs.ChunkRef) {
	for i := range n {
		refs = append(refs, vfs.ChunkRef{Hash: [32]byte{1, byte(i), byte(i >> 8)}, Len: 1})
	}
	return refs
}

// loadRows brings the rows of from into to, and returns how many parts it took.
func loadRows(to *rig, from vfs.View, id uint64) uint64 {
	to.Helper()
	l := NewLoader(id, func(ops []vfs.Op) error { to.must(ops...); return nil })
	for k, v := range Rows(from) {
		if err := errors.Join(CheckRow(k, v), l.Add(k, v)); err != nil {
			to.Fatal(err)
		}
	}
	if err := l.Flush(); err != nil {
		to.Fatal(err)
	}
	return l.Parts()
}

func sumsOf(r *rig) Sums {
	r.Helper()
	s, err := r.Sums(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return s
}

func TestLoad(t *testing.T) {
	from, to := source(t), fresh(t)
	first := from.do(keyed(from.event(vfs.Op{Verb: vfs.Consume, Path: "/own/take"}), "k"))
	var loaded int
	to.o.OnRestore = func() { loaded++ }
	im := from.Image()
	defer im.Release()
	want := sumsOf(from)

	to.must(step(5, RestoreSpec{Step: StepBegin, Node: "x", Run: "r"}))
	to.must(step(5, RestoreSpec{Step: StepBegin, Node: "x", Run: "r"})) // again
	to.fails(vfs.Locked, "node x", step(6, RestoreSpec{Step: StepBegin, Node: "z"}))
	to.must(step(5, RestoreSpec{Step: StepHold}, chunk(77), chunk(78)))
	if now := to.Image(); !now.Loading || !Counted(now.View, chunk(77).Hash) {
		t.Error("nothing is held, or it does not show")
	} else {
		now.Release()
	}
	for _, op := range []vfs.Op{write("/b/x", "1"), mountOp("/q", "box"), {Verb: vfs.Sweep, Data: EncodeSweep(SweepSpec{Chunks: to.clock})},
		{Verb: vfs.Unmount, Path: "/m"}, {Verb: vfs.Stage, File: 1, Refs: manyRefs(1)}} {
		to.fails(vfs.Unavailable, "being restored", op)
	}
	parts := loadRows(to, im.View, 5)
	if to.read("/b/x") != "-" || parts < 3 {
		t.Errorf("%d parts", parts)
	}
	if got := sumsOf(to); got.State != want.State {
		t.Error("the rows are not those of the backup")
	}
	if out := to.do(keyed(to.event(vfs.Op{Verb: vfs.Consume, Path: "/own/take"}), "k")); vfs.KindOf(out.Err) != vfs.Unavailable {
		t.Error("an answer before its time:", out)
	}
	to.fails(vfs.Invalid, "parts", step(5, RestoreSpec{Step: StepEnd, Parts: parts + 1}))
	to.must(vfs.Op{Verb: vfs.Member, Data: EncodeMember(Member{ID: "late"})})
	end := step(5, RestoreSpec{Step: StepEnd, Parts: parts, Seq: im.Seq, Time: im.Now().UnixNano()})
	out := to.must(end)
	got := sumsOf(to)
	if got.State != want.State || loaded != 1 {
		t.Error("not the state of the backup")
	}
	now := to.Image()
	defer now.Release()
	if now.Loading || now.ClusterID() != "new" || len(now.Members()) != 2 || Counted(now.View, [32]byte{42}) ||
		now.Seq != out.Seq || out.Seq <= im.Seq || out.Seq != uint64(to.clock.Unix())<<15 || now.Now().Before(im.Now()) {
		t.Errorf("loading %v, cluster %s, %d members, seq %d after %d, time %v", now.Loading, now.ClusterID(), len(now.Members()), now.Seq, im.Seq, now.Now())
	}
	if again := to.must(end); again.Results[0].Version != out.Results[0].Version || sumsOf(to).State != want.State {
		t.Error("an end that is repeated changes something")
	}
	if replay := to.do(keyed(to.event(vfs.Op{Verb: vfs.Consume, Path: "/own/take"}), "k")); !replay.Replayed ||
		replay.Seq != first.Seq || replay.Index > to.Applied() {
		t.Errorf("%+v, the first was %+v", replay, first)
	}
	if w := to.must(write("/own/new", "1")); w.Results[0].Version <= out.Seq {
		t.Error("a version comes again")
	}
	to.fails(vfs.NotEmpty, "empty cluster only", step(8, RestoreSpec{Step: StepBegin}))
}

// A restore that is given up, at any step, leaves an empty cluster.
func TestLoadGivenUp(t *testing.T) {
	from := source(t)
	im := from.Image()
	defer im.Release()
	for until := range 4 {
		to := fresh(t)
		to.must(step(5, RestoreSpec{Step: StepBegin}))
		if until > 0 {
			to.must(step(5, RestoreSpec{Step: StepHold}, chunk(1)))
		}
		var parts uint64
		if until > 1 {
			parts = loadRows(to, im.View, 5)
		}
		if until > 2 { // it is not the program that could read it
			to.plugins = map[string]vfs.Plugin{}
			to.fails(vfs.Invalid, "unknown filesystem type", step(5, RestoreSpec{Step: StepEnd, Parts: parts}))
			for _, p := range testPlugins() {
				to.plugins[p.Type] = p
			}
		}
		to.must(step(6, RestoreSpec{Step: StepDrop})) // of another
		if now := to.Image(); !now.Loading {
			t.Error("another one gave it up")
		} else {
			now.Release()
		}
		to.must(step(5, RestoreSpec{Step: StepDrop}))
		to.must(step(5, RestoreSpec{Step: StepDrop}))
		to.fails(vfs.Unavailable, "given up", step(5, RestoreSpec{Step: StepHold}))
		to.fails(vfs.Unavailable, "given up", vfs.Op{Verb: vfs.Load, File: 5})
		to.fails(vfs.Unavailable, "given up", step(5, RestoreSpec{Step: StepEnd}))
		now := to.Image()
		if now.Loading || Counted(now.View, chunk(1).Hash) || now.ClusterID() != "new" {
			t.Errorf("step %d: something is left", until)
		}
		now.Release()
		for _, op := range []vfs.Op{fileMount("/m", "memfs"), fileMount("/b", "box"), fileMount("/p", "pipe")} {
			to.must(op)
		}
		to.must(step(7, RestoreSpec{Step: StepBegin})) // it is empty
		to.must(step(7, RestoreSpec{Step: StepDrop}))
		to.must(write("/b/x", "1"))
	}
}

func TestOnlyIntoEmpty(t *testing.T) {
	begin := step(5, RestoreSpec{Step: StepBegin})
	for name, ops := range map[string][]vfs.Op{
		"a file":         {write("/b/x", "1")},
		"a removed file": {{Verb: vfs.Create, Path: "/m/x"}, {Verb: vfs.Remove, Path: "/m/x"}},
		"a README":       {{Verb: vfs.Chmod, Path: "/m/README", Mode: 0o600}},
		"another README": {{Verb: vfs.Write, Path: "/m/README", Data: []byte("x"), Flag: vfs.FlagTruncate}},
		"a directory":    {{Verb: vfs.Mkdir, Path: "/m/d"}},
		"a mount":        {mountOp("/mine", "pipe")},
		"an unmount":     {{Verb: vfs.Unmount, Path: "/p"}},
		"a link":         {{Verb: vfs.Symlink, Path: "/b/l", Target: "x"}},
	} {
		r := fresh(t)
		for _, op := range ops {
			r.must(op)
		}
		r.fails(vfs.NotEmpty, "empty cluster only", begin)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	r := fresh(t)
	r.do(keyed(r.event(vfs.Op{Verb: vfs.Remove, Path: "/b/none"}), "k"))
	r.fails(vfs.NotEmpty, "idempotency key", begin)
	// What uploads leave behind is not in the way.
	r = fresh(t)
	r.must(vfs.Op{Verb: vfs.Stage, File: 3, Refs: manyRefs(3)})
	r.must(vfs.Op{Verb: vfs.Member, Data: EncodeMember(Member{ID: "late"})})
	r.must(vfs.Op{Verb: vfs.Saved, Data: EncodeSaved(SavedBackup{Node: "x"})})
	r.must(begin)
}

func TestLoadRefuses(t *testing.T) {
	r := fresh(t)
	load := func(part int64, key string, value []byte) vfs.Op {
		return vfs.Op{Verb: vfs.Load, File: 5, Off: part, Data: AppendPair(nil, []byte(key), value)}
	}
	r.fails(vfs.Invalid, "bad settings", vfs.Op{Verb: vfs.Restore, File: 1, Data: []byte("?")})
	r.fails(vfs.Invalid, "bad settings", step(0, RestoreSpec{Step: StepBegin}))
	r.fails(vfs.Unavailable, "given up", load(0, "\x01c", nil))
	r.must(step(5, RestoreSpec{Step: StepBegin}))
	r.fails(vfs.Invalid, "unknown step", step(5, RestoreSpec{Step: "?"}))
	for _, key := range []string{"", "\x01", "\x00a", "\x03x", "\x02short", "\x01s", "\x01n1", "\x01b", "\x01r", "\x01h2"} {
		r.fails(vfs.Invalid, "bad row", load(0, key, nil))
	}
	r.fails(vfs.Invalid, "bad row", vfs.Op{Verb: vfs.Load, File: 5, Data: []byte("1234567890")})
	r.must(load(0, "\x01m/bad", []byte("no record")))
	r.must(load(0, "\x01m/bad", []byte("again"))) // is not looked at
	r.fails(vfs.Invalid, "out of order", load(2, "\x01m/x", nil))
	r.fails(vfs.Invalid, "broken row", step(5, RestoreSpec{Step: StepEnd, Parts: 1}))
	r.fails(vfs.Invalid, "impossible", step(5, RestoreSpec{Step: StepEnd, Parts: 1, Seq: 1 << 60}))
	if len(r.fatal) > 0 {
		t.Error(r.fatal)
	}
}

// Every row that the machine writes passes; others do not.
func TestCheckRow(t *testing.T) {
	r := source(t)
	im := r.Image()
	defer im.Release()
	kinds := map[byte]bool{}
	for k, v := range Rows(im.View) {
		if err := CheckRow(k, v); err != nil {
			t.Error(err)
		}
		if k[0] == vfs.SystemSpace {
			kinds[k[1]] = true
		}
	}
	for kind := range rowChecks {
		if !kinds[kind] && kind != rowLink && kind != rowTomb && kind != rowLibrary {
			t.Errorf("no row of kind %q was looked at", kind)
		}
	}
	for _, bad := range []string{"\x01m/x=?", "\x01d=?", "\x01x=?", "\x01kk=short", "\x01o1=", "\x01w=1", "\x01c1=12345678",
		"\x01z=", "\x01u1=", "\x01p1=", "\x01l=", "\x01e=?", "\x01q=", "\x02short=", "\x01s=12345678", "\x00a=", "=", "\x01="} {
		k, v, _ := strings.Cut(bad, "=")
		if err := CheckRow([]byte(k), []byte(v)); vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Whatever moment of a load a crash hits, the log brings the rest.
func TestLoadAcrossCrashes(t *testing.T) {
	from := source(t)
	im := from.Image()
	defer im.Release()
	sure := newRig(t, nil)
	fs := pebblevfs.NewMem()
	open := func() *rig { return newRig(t, func(o *Options) { o.Store = memoryStore(t, fs) }) }
	shaky := open()
	apply := func(ops ...vfs.Op) {
		t.Helper()
		sure.must(ops...)
		shaky.next = sure.next - 1
		shaky.must(ops...)
		if err := shaky.Close(); err != nil {
			t.Fatal(err)
		}
		shaky = open()
		if a, b := sumsOf(sure), sumsOf(shaky); a != b {
			t.Fatalf("%v and %v", a, b)
		}
	}
	apply(fileMount("/m", "memfs"))
	apply(step(5, RestoreSpec{Step: StepBegin}))
	apply(step(5, RestoreSpec{Step: StepHold}, chunk(9)))
	shaky.fails(vfs.Unavailable, "being restored", write("/m/x", "1"))
	sure.next++
	l := NewLoader(5, func(ops []vfs.Op) error { apply(ops...); return nil })
	for k, v := range Rows(im.View) {
		if err := l.Add(k, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	apply(step(5, RestoreSpec{Step: StepEnd, Parts: l.Parts(), Seq: im.Seq}))
	if sumsOf(shaky).State != sumsOf(from).State || shaky.read("/own/take") != "job" {
		t.Error("not the state of the backup")
	}
}

func TestCheckpoint(t *testing.T) {
	r := newRig(t, onDisk(t.TempDir()))
	if _, err := r.Checkpoint(); vfs.KindOf(err) != vfs.Unavailable {
		t.Error(err)
	}
	r.must(mountOp("/b", "box"))
	r.must(write("/b/x", "1", chunk(3)))
	want := sumsOf(r)
	c, err := r.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	r.must(write("/b/x", "2"))
	sum := store.NewHasher()
	for k, v := range Rows(c.View) {
		sum.Add(k, v)
	}
	if sum.Sum() != want.State || c.Index != want.Index || c.Seq != 2 || !c.Time.Equal(r.clock) {
		t.Errorf("%+v, want %+v", c, want)
	}
	counted := 0
	for k, v := range Rows(c.View) {
		if hash, ok := CountedBy(k, v); ok {
			counted++
			if hash != chunk(3).Hash {
				t.Errorf("%x", hash)
			}
		}
	}
	if counted != 1 {
		t.Error(counted, "chunks")
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil || names(t, r.o.Dir) != "00000001 CURRENT" {
		t.Error(err, names(t, r.o.Dir))
	}
	now := sumsOf(r)
	if now == want {
		t.Error("the checkpoint is the state")
	}
	r2 := fresh(t)
	r2.must(step(5, RestoreSpec{Step: StepBegin}))
	if _, err := r2.Checkpoint(); err == nil {
		t.Error("a checkpoint in memory")
	}
	disk := newRig(t, onDisk(t.TempDir()))
	disk.must(fileMount("/m", "memfs"))
	disk.must(step(5, RestoreSpec{Step: StepBegin}))
	if _, err := disk.Checkpoint(); vfs.KindOf(err) != vfs.Unavailable || names(t, disk.o.Dir) != "00000001 CURRENT" {
		t.Error(err, names(t, disk.o.Dir))
	}
}
