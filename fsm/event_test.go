package fsm

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// randomLog makes entries that mount, write, fail, stage, sweep and repeat.
func randomLog(seed int64, entries int) []*raft.Log {
	return randomLogOf(seed, entries, []string{"box", "memfs", "pipe", "none"})
}

func randomLogOf(seed int64, entries int, types []string) []*raft.Log {
	rnd := rand.New(rand.NewSource(seed))
	clock := time.Unix(1_700_000_000, 0)
	paths := []vfs.Path{"/a", "/a/b", "/c", "/d"}
	one := func() vfs.Op {
		p := paths[rnd.Intn(len(paths))]
		file := p.Child(fmt.Sprint("f", rnd.Intn(3)))
		switch rnd.Intn(12) {
		case 0:
			return mountOp(p, types[rnd.Intn(len(types))])
		case 1:
			return vfs.Op{Verb: vfs.Unmount, Path: p}
		case 2:
			return write(file, "bad")
		case 3:
			return vfs.Op{Verb: vfs.Remove, Path: file}
		case 4:
			return vfs.Op{Verb: vfs.Stage, File: uint64(1 + rnd.Intn(3)), Refs: []vfs.ChunkRef{chunk(byte(1 + rnd.Intn(9)))}}
		case 5:
			return vfs.Op{Verb: vfs.Commit, File: uint64(1 + rnd.Intn(3))}
		case 6:
			at := clock.Add(-time.Second * time.Duration(rnd.Intn(30)))
			return vfs.Op{Verb: vfs.Sweep, Data: EncodeSweep(SweepSpec{at, at})}
		case 7, 8:
			return write(file, "", chunk(byte(1+rnd.Intn(9))))
		default:
			return vfs.Op{Verb: vfs.Write, Path: file, Data: fmt.Append(nil, rnd.Intn(99)), Flag: vfs.FlagCreate}
		}
	}
	var logs []*raft.Log
	for i := range entries {
		if rnd.Intn(10) == 0 {
			logs = append(logs, confLog(uint64(i+1), fmt.Sprint("n", rnd.Intn(5))))
			continue
		}
		var events []vfs.Event
		for range 1 + rnd.Intn(4) {
			clock = clock.Add(time.Duration(rnd.Intn(5)-1) * time.Second)
			ev := vfs.Event{Time: clock}
			for range 1 + rnd.Intn(2) {
				ev.Ops = append(ev.Ops, one())
			}
			if rnd.Intn(3) == 0 {
				ev.Key, ev.Sum = fmt.Sprint("k", rnd.Intn(20)), [32]byte{byte(rnd.Intn(2))}
			}
			events = append(events, ev)
		}
		logs = append(logs, logOf(uint64(i+1), events...))
	}
	return logs
}

func confLog(index uint64, id string) *raft.Log {
	conf := raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(id), Address: "a"}}}
	return &raft.Log{Index: index, Term: 2, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(conf)}
}

// One log gives one state and one set of answers, however it is cut into
// batches, and however often the machine is opened again in between.
func TestBatchesFoldAsOneByOne(t *testing.T) {
	small := window{age: 20 * time.Second, keys: 6, bytes: 900}
	for seed := range int64(4) {
		logs := randomLog(seed, 150)
		single := newRig(t, nil)
		single.window = small
		var want []any
		for _, l := range logs {
			want = append(want, single.Apply(l))
		}
		fs := pebblevfs.NewMem()
		rnd := rand.New(rand.NewSource(seed + 100))
		var got []any
		var digest [32]byte
		for rest := logs; len(rest) > 0; {
			batched := newRig(t, func(o *Options) { o.Store = memoryStore(t, fs) })
			batched.window = small
			for n := 0; n < 5 && len(rest) > 0; n++ {
				cut := min(len(rest), 1+rnd.Intn(20))
				got = append(got, batched.ApplyBatch(rest[:cut])...)
				rest = rest[cut:]
			}
			digest = batched.digest()
			if err := batched.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if digest != single.digest() {
			t.Errorf("seed %d: digests differ", seed)
		}
		for i := range want {
			if fmt.Sprint(want[i]) != fmt.Sprint(got[i]) {
				t.Errorf("seed %d, entry %d: %v, batched %v", seed, i+1, want[i], got[i])
			}
		}
		if len(single.fatal) > 0 {
			t.Error(single.fatal)
		}
		checkCounts(t, single)
	}
}

// checkCounts holds the counts of chunks against all that refers to them.
func checkCounts(t *testing.T, r *rig) {
	t.Helper()
	img := r.Image()
	defer img.Release()
	idle := map[[32]byte]bool{}
	for _, h := range ZeroChunks(img.View, time.Unix(1<<33, 0), 0) {
		idle[h] = true
	}
	for h, n := range Chunks(img.View) {
		if (n == 0) != idle[h] {
			t.Errorf("chunk %x: count %d, idle %v", h[:2], n, idle[h])
		}
		delete(idle, h)
	}
	if len(idle) > 0 {
		t.Errorf("%d idle chunks without a count", len(idle))
	}
}

func TestFailedEventChangesNothing(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/b", "box"))
	r.must(write("/b/x", "one"))
	r.must(write("/b/y", "", chunk(1)))
	r.fails(vfs.Invalid, "write: /b/x: invalid argument (bad)", write("/b/x", "bad"))
	r.fails(vfs.Invalid, "bad", write("/b/z", "fine"), write("/b/x", "", chunk(1), chunk(2)), write("/b/x", "bad"))
	r.fails(vfs.NotFound, "remove: /b/q: not found", vfs.Op{Verb: vfs.Remove, Path: "/b/q"})
	r.fails(vfs.Unsupported, "", mountOp("/later", "box"), vfs.Op{Verb: vfs.Mkdir, Path: "/later/d"})
	r.fails(vfs.Invalid, "no operation")
	if got := r.read("/b/x"); got != "one" {
		t.Errorf("read %q", got)
	}
	first := r.must(write("/b/x", "two"))
	r.ops(write("/b/x", "bad"))
	if out := r.must(write("/b/x", "three")); out.Seq != first.Seq+1 || out.Results[0].Version != out.Seq {
		t.Errorf("seq %d after %d", out.Seq, first.Seq)
	}
}

// An Event sees the one before it in the same entry, and its own earlier Ops.
func TestLaterOpsSeeEarlierOnes(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/b", "box"), write("/b/x", "1"))
	got := r.Apply(logOf(r.next, r.event(write("/b/take", "it")), r.event(vfs.Op{Verb: vfs.Consume, Path: "/b/take"}),
		r.event(vfs.Op{Verb: vfs.Consume, Path: "/b/take"}))).([]vfs.Outcome)
	if string(got[1].Results[0].Data) != "it" || vfs.KindOf(got[2].Err) != vfs.NotFound {
		t.Errorf("%v", got)
	}
	if got[0].Index != got[2].Index || got[1].Seq != got[0].Seq+1 {
		t.Errorf("%v", got)
	}
}

func TestTimeNeverGoesBack(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/b", "box"))
	r.clock = r.clock.Add(time.Hour)
	r.must(write("/b/x", "1"))
	late := r.clock
	r.clock = r.clock.Add(-2 * time.Hour)
	r.must(mountOp("/c", "box"))
	img := r.Image()
	defer img.Release()
	if mt, _, _ := img.Table.Route("/c"); !mt.When.Equal(late) || !img.Now().Equal(late) {
		t.Errorf("mounted at %v, log time %v, want %v", mt.When, img.Now(), late)
	}
}

// A poison entry ends the node before anything in its batch is folded.
func TestPoison(t *testing.T) {
	good := func(r *rig, n uint64) *raft.Log { return logOf(n, r.event(write("/b/x", "new"))) }
	verb := wire.AppendBatch(nil, []vfs.Event{{Request: vfs.Request{Ops: []vfs.Op{{Verb: 200, Path: "/b/x"}}}}})
	for name, poison := range map[string]*raft.Log{
		"garbage":       {Type: raft.LogCommand, Data: []byte("garbage")},
		"empty":         {Type: raft.LogCommand},
		"version":       {Type: raft.LogCommand, Data: append([]byte{99}, wire.AppendBatch(nil, nil)[1:]...)},
		"verb":          {Type: raft.LogCommand, Data: verb},
		"configuration": {Type: raft.LogConfiguration, Data: []byte{0xc1, 0xff}},
		"type":          {Type: raft.LogBarrier},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.must(mountOp("/b", "box"))
			before, at := r.digest(), r.Applied()
			poison.Index = r.next + 1
			got := r.ApplyBatch([]*raft.Log{good(r, r.next), poison, good(r, r.next+2)})
			if len(r.fatal) != 1 || len(got) != 3 {
				t.Fatalf("fatal %v, answers %v", r.fatal, got)
			}
			if _, ok := got[0].(error); !ok {
				t.Errorf("answer %v", got[0])
			}
			r.ApplyBatch([]*raft.Log{good(r, r.next)})
			if len(r.fatal) != 1 || r.Applied() != at || r.digest() != before {
				t.Error("the state has changed")
			}
			if err := r.Wait(context.Background(), at+1); vfs.KindOf(err) != vfs.Unavailable {
				t.Error(err)
			}
		})
	}
}

// A fault of the store ends the node; a mistake in a plugin is not hidden.
func TestFaultsAndPanics(t *testing.T) {
	fold := func(f func()) func(*Options) {
		return func(o *Options) {
			o.Plugins = append(o.Plugins, vfs.Plugin{Type: "odd", Verbs: vfs.Verbs(vfs.Write),
				New: func(vfs.Env, vfs.Config) (vfs.FileSystem, error) { return odd{f: f}, nil }})
		}
	}
	r := newRig(t, fold(func() { panic(vfs.StoreFault{Err: errors.New("rot")}) }))
	r.must(mountOp("/o", "odd"))
	r.Apply(logOf(r.next, r.event(write("/o/x", "1"))))
	if len(r.fatal) != 1 || r.Failed() == nil {
		t.Errorf("fatal %v", r.fatal)
	}
	r = newRig(t, fold(func() { panic("mistake") }))
	r.must(mountOp("/o", "odd"))
	defer func() {
		if recover() != "mistake" {
			t.Error("the panic was hidden")
		}
	}()
	r.Apply(logOf(r.next, r.event(write("/o/x", "1"))))
}

type odd struct {
	box
	f func()
}

func (o odd) Apply(_ vfs.Tx, op vfs.Op) (vfs.Result, error) {
	if op.Verb == vfs.Write {
		o.f()
	}
	return vfs.Result{}, nil
}

// Releasing what was never retained fails the Event.
func TestCountBelowZero(t *testing.T) {
	over := vfs.NewOverlay(newRig(t, nil).store.View())
	var c counts
	c.add(chunk(1), -1)
	if _, err := c.settle(over, 1); vfs.KindOf(err) != vfs.Internal {
		t.Error(err)
	}
}
