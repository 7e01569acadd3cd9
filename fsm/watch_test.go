package fsm

import (
	"sync/atomic"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// Who watches a row hears of every commit that changes it, of no other, and
// finds the change in a new Image.
func TestWatch(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/m", "memfs"))
	var all, mounts atomic.Int64
	stop := r.Watch(sysKey(rowSeq), func() { all.Add(1) })
	defer r.Watch(MountRow("/n"), func() { mounts.Add(1) })()
	r.must(vfs.Op{Verb: vfs.Create, Path: "/m/a"})
	r.must(mountOp("/n", "memfs"))
	r.fails(vfs.Exists, "", vfs.Op{Verb: vfs.Create, Path: "/m/a"})
	img := r.Image()
	found := img.Seq
	img.Release()
	if all.Load() != 2 || mounts.Load() != 1 || found != 3 {
		t.Errorf("heard %d times of the number, %d of the mount; the number is %d", all.Load(), mounts.Load(), found)
	}
	stop()
	r.must(vfs.Op{Verb: vfs.Unmount, Path: "/n"})
	if all.Load() != 2 || mounts.Load() != 2 {
		t.Errorf("heard %d times of the number, %d of the mount", all.Load(), mounts.Load())
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if mounts.Load() != 3 {
		t.Error("heard nothing of the end")
	}
}
