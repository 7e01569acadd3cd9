package fsm

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

func (r *rig) count(n byte) (count int, known bool) {
	r.Helper()
	i := r.Image()
	defer i.Release()
	hash := chunk(n).Hash
	c, _, known := chunkRow(i.View, sysKey(rowChunk, hash[:]...))
	if known != Counted(i.View, hash) || known != r.Counted(hash) {
		r.Errorf("chunk %d: known %v", n, known)
	}
	return int(c), known
}

func (r *rig) counts(want string, ns ...byte) {
	r.Helper()
	var got []string
	for _, n := range ns {
		if c, known := r.count(n); known {
			got = append(got, fmt.Sprint(c))
		} else {
			got = append(got, "-")
		}
	}
	if fmt.Sprint(got) != want {
		r.Errorf("counts %v, want %s", got, want)
	}
}

func sweepOp(chunks, uploads time.Time) vfs.Op {
	return vfs.Op{Verb: vfs.Sweep, Data: EncodeSweep(SweepSpec{chunks, uploads})}
}

func stage(id uint64, ns ...byte) vfs.Op {
	op := vfs.Op{Verb: vfs.Stage, File: id}
	for _, n := range ns {
		op.Refs = append(op.Refs, chunk(n))
	}
	return op
}

func commit(id uint64) vfs.Op { return vfs.Op{Verb: vfs.Commit, File: id} }

func TestCounting(t *testing.T) {
	var told []byte
	r := newRig(t, func(o *Options) {
		o.OnChunks = func(hs [][32]byte) {
			for _, h := range hs {
				told = append(told, h[0])
			}
		}
	})
	hole := vfs.ChunkRef{Len: 5}
	r.must(mountOp("/b", "box"))
	r.must(write("/b/x", "", chunk(1), chunk(2), chunk(1), hole))
	r.must(write("/b/y", "", chunk(2), chunk(3)))
	r.counts("[2 2 1 -]", 1, 2, 3, 0)
	r.must(write("/b/x", "", chunk(1))) // moves one reference, drops the rest
	r.counts("[1 1 1]", 1, 2, 3)
	r.clock = r.clock.Add(time.Minute)
	r.must(vfs.Op{Verb: vfs.Remove, Path: "/b/y"})
	r.counts("[1 0 0]", 1, 2, 3)
	gone := r.clock
	r.clock = r.clock.Add(time.Minute)
	r.must(write("/b/y", "", chunk(3))) // comes back before it is swept
	checkCounts(t, r)
	if !slices.Equal(told, []byte{1, 2, 3, 3}) {
		t.Errorf("told %v", told)
	}
	if out := r.must(sweepOp(gone, gone)); out.Results[0].N != 0 {
		t.Error("swept what has just become idle")
	}
	i := r.Image()
	if z := ZeroChunks(i.View, gone.Add(1), 0); len(z) != 1 || z[0][0] != 2 {
		t.Errorf("idle %v", z)
	}
	i.Release()
	if out := r.must(sweepOp(gone.Add(1), gone)); out.Results[0].N != 1 {
		t.Errorf("swept %d", out.Results[0].N)
	}
	r.counts("[1 - 1]", 1, 2, 3)
	checkCounts(t, r)
	r.fails(vfs.Invalid, "sweep: bad settings", vfs.Op{Verb: vfs.Sweep})
}

func TestSweepIsBounded(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/b", "box"))
	op := vfs.Op{Verb: vfs.Write, Path: "/b/x"}
	for i := range maxSwept + 10 {
		op.Refs = append(op.Refs, vfs.ChunkRef{Hash: [32]byte{1, byte(i), byte(i >> 8)}, Len: 1})
	}
	r.must(op)
	r.must(write("/b/x", "none"))
	later := r.clock.Add(time.Hour)
	for _, want := range []int64{maxSwept, 10, 0} {
		if out := r.must(sweepOp(later, later)); out.Results[0].N != want {
			t.Errorf("swept %d, want %d", out.Results[0].N, want)
		}
	}
}

func TestUpload(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/b", "box"))
	r.must(stage(7, 1, 2))
	r.must(stage(7, 3))
	r.must(stage(8, 9))
	r.counts("[1 1 1]", 1, 2, 3)
	r.fails(vfs.Stale, "", vfs.Op{Verb: vfs.Write, Path: "/b/take", Refs: []vfs.ChunkRef{chunk(4)}, If: vfs.Cond{Kind: vfs.IfExists}}, commit(7))
	r.must(write("/b/take", "", chunk(4)), commit(7))
	r.counts("[1 1 1 1 1]", 1, 2, 3, 4, 9)
	refs := r.must(vfs.Op{Verb: vfs.Consume, Path: "/b/take"}).Results[0].Refs
	if !slices.Equal(refs, []vfs.ChunkRef{chunk(1), chunk(2), chunk(3), chunk(4)}) {
		t.Errorf("refs %v", refs)
	}
	r.fails(vfs.Unavailable, "upload has run out", write("/b/x", "", chunk(4)), commit(7))
	for _, bad := range [][]vfs.Op{
		{commit(8)}, {commit(8), commit(8)}, {write("/b/x", "", chunk(1)), write("/b/y", "", chunk(1)), commit(8)},
		{commit(8), write("/b/x", "", chunk(1)), write("/b/y", "", chunk(1))}, {write("/b/x", "inline"), commit(8)},
	} {
		r.fails(vfs.Invalid, "commit belongs to one write", bad...)
	}
	r.fails(vfs.Invalid, "without an id", stage(0, 1))
	r.fails(vfs.Invalid, "nothing to stage", stage(5))
	r.must(commit(8), vfs.Op{Verb: vfs.Write, Path: "/b/x"}) // all of it was staged
	r.counts("[1]", 9)
	checkCounts(t, r)
}

func TestUploadLimit(t *testing.T) {
	r := newRig(t, nil)
	f := r.newFold()
	e := &event{fold: f, tx: newTx(f.over, 0, 1), table: f.table}
	e.putUpload(1, upload{refs: MaxStaged})
	if _, err := e.stage(stage(1, 1)); vfs.KindOf(err) != vfs.TooLarge {
		t.Error(err)
	}
}

func TestStaleUploads(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/b", "box"))
	for range maxDropped + 4 {
		r.must(stage(1, 1))
	}
	r.must(stage(2, 2))
	start := r.clock
	r.clock = r.clock.Add(time.Hour)
	r.must(stage(3, 3))
	epoch := time.Time{}
	if out := r.must(sweepOp(epoch, start)); out.Results[0].N != 0 {
		t.Error("dropped too early")
	}
	r.must(sweepOp(epoch, start.Add(1)))
	r.counts("[4 1 1]", 1, 2, 3)
	// Half of it is gone, so none of it can be had.
	r.fails(vfs.Unavailable, "run out", write("/b/x", "", chunk(4)), commit(1))
	r.fails(vfs.Unavailable, "run out", stage(1, 1))
	r.must(sweepOp(epoch, start.Add(1)))
	r.counts("[0 0 1]", 1, 2, 3)
	if out := r.must(sweepOp(epoch, start.Add(1))); out.Results[0].N != 0 {
		t.Errorf("still %d to drop", out.Results[0].N)
	}
	r.must(stage(1, 1)) // the id is free
	r.must(write("/b/x", "", chunk(4)), commit(3))
	checkCounts(t, r)
}

func TestMembers(t *testing.T) {
	r := newRig(t, nil)
	member := func(m Member) vfs.Op { return vfs.Op{Verb: vfs.Member, Data: EncodeMember(m)} }
	a := r.must(member(Member{ID: "a", HTTP: "http://a", Raft: "a:1", Number: 77}))
	r.must(member(Member{ID: "c", HTTP: "http://c"}))
	b := r.must(member(Member{ID: "b"}))
	if a.Results[0].N != 1 || b.Results[0].N != 3 {
		t.Error(a, b)
	}
	r.must(member(Member{ID: "a", HTTP: "https://a"}))
	r.fails(vfs.Invalid, "member", member(Member{}))
	i := r.Image()
	got, err := json.Marshal(i.Members())
	i.Release()
	if err != nil || string(got) != `[{"id":"a","http":"https://a","raft":"","number":1},{"id":"b","http":"","raft":"","number":3},`+
		`{"id":"c","http":"http://c","raft":"","number":2}]` || i.ClusterID() != "" {
		t.Errorf("%s", got)
	}
	begin := func(id string) vfs.Op {
		return vfs.Op{Verb: vfs.Begin, Data: EncodeBegin(BeginSpec{Cluster: id, Node: "a"})}
	}
	r.must(begin("first"))
	r.must(begin("second"))
	r.fails(vfs.Invalid, "begin", begin(""))
	if i := r.Image(); i.ClusterID() != "first" {
		t.Error(i.ClusterID())
	} else {
		i.Release()
	}
	f := r.newFold()
	e := &event{fold: f, tx: newTx(f.over, 0, 1), table: f.table}
	e.tx.Put(sysKey(rowNumber), be64(math.MaxUint16))
	if _, err := e.member(member(Member{ID: "z"})); vfs.KindOf(err) != vfs.NoSpace {
		t.Error(err)
	}
}
