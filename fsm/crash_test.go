package fsm

import (
	"fmt"
	"math/rand/v2"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// Whatever a crash leaves of the disk is the state after some entry; given the
// rest of the log again, the node is where it would have been.
func TestCrashLosesASuffix(t *testing.T) {
	logs := randomLog(5, 120)
	digests := map[uint64][32]byte{}
	answers := map[uint64]string{}
	sure := newRig(t, nil)
	digests[0] = sure.digest()
	for _, l := range logs {
		answers[l.Index] = fmt.Sprint(sure.Apply(l))
		digests[l.Index] = sure.digest()
	}
	fs := pebblevfs.NewCrashableMem()
	r := newRig(t, func(o *Options) { o.Store = memoryStore(t, fs) })
	rnd := rand.New(rand.NewPCG(1, 2))
	seen := map[uint64]bool{}
	synced := uint64(0)
	for i, l := range logs {
		r.Apply(l)
		if i%25 == 10 {
			if err := (taken{r.Machine}).Persist(nil); err != nil {
				t.Fatal(err)
			}
			synced = l.Index
		}
		if i%4 != 0 {
			continue
		}
		clone := fs.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: rnd.IntN(101), RNG: rnd})
		after := newRig(t, func(o *Options) { o.Store = memoryStore(t, clone) })
		at := after.Applied()
		seen[at] = true
		if at < synced || at > l.Index || after.digest() != digests[at] {
			t.Fatalf("after entry %d, synced %d: applied %d, or another state", l.Index, synced, at)
		}
		redo(t, after, logs[:l.Index], at, answers)
		if after.digest() != digests[l.Index] {
			t.Fatalf("entries %d to %d again give another state", at+1, l.Index)
		}
		if err := after.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) < 4 {
		t.Errorf("only %d different places were crashed to", len(seen))
	}
}

// redo gives all entries again: those that are part of the state answer
// nothing, the others what they answered.
func redo(t *testing.T, r *rig, logs []*raft.Log, at uint64, answers map[uint64]string) {
	t.Helper()
	for i, got := range r.ApplyBatch(logs) {
		switch index := logs[i].Index; {
		case index <= at && got != nil:
			t.Errorf("entry %d was applied twice", index)
		case index > at && fmt.Sprint(got) != answers[index]:
			t.Errorf("entry %d answers %v, before %s", index, got, answers[index])
		}
	}
}
