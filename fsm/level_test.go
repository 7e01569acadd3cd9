package fsm

import (
	"testing"

	"github.com/pfs-project/pfs/plugins/queuefs"
	"github.com/pfs-project/pfs/vfs"
)

// A mount of queues knows leases from level 3 on: whether it is there when the
// level is reached, comes back later, or comes out of a backup.
func TestLevelReachesMounts(t *testing.T) {
	withQueues := func(o *Options) { o.Plugins = append(o.Plugins, queuefs.Plugin()) }
	level := func(r *rig, n uint64) {
		r.must(vfs.Op{Verb: vfs.Begin, Data: EncodeBegin(BeginSpec{Cluster: "c", Level: n})})
	}
	take := func(p vfs.Path) vfs.Op { return vfs.Op{Verb: vfs.Consume, Path: p.Child("take")} }
	takes := func(r *rig, p vfs.Path) {
		t.Helper()
		if out := r.must(take(p)); len(out.Results[0].Data) == 0 {
			t.Errorf("%s had nothing", p)
		}
	}
	r := newRig(t, withQueues)
	r.must(mountOp("/new", "queuefs")) // of a cluster that begins
	r.must(write("/new/q/enqueue", "job"))
	takes(r, "/new/q")
	level(r, 2)
	for _, p := range []vfs.Path{"/stays", "/back", "/saved"} {
		r.must(mountOp(p, "queuefs"))
		r.must(write(p.Child("q/enqueue"), "job"))
		r.fails(vfs.NotFound, "", take(p+"/q"))
	}
	r.must(unmountOp("/back"))
	im := r.Image()
	defer im.Release()
	level(r, 3)
	takes(r, "/stays/q")
	r.must(mountOp("/back", "queuefs"))
	takes(r, "/back/q")
	r.must(mountOp("/later", "queuefs"))
	r.must(write("/later/q/enqueue", "job"))
	takes(r, "/later/q")

	to := newRig(t, withQueues)
	level(to, 2)
	to.must(fileMount("/early", "queuefs"))
	to.must(step(4, RestoreSpec{Step: StepBegin})) // it is empty
	to.must(step(4, RestoreSpec{Step: StepDrop}))
	level(to, 3)
	to.must(step(5, RestoreSpec{Step: StepBegin}))
	parts := loadRows(to, im.View, 5)
	to.must(step(5, RestoreSpec{Step: StepEnd, Parts: parts}))
	takes(to, "/saved/q")
	takes(to, "/stays/q")
}
