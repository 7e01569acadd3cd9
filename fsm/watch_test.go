package fsm

import (
	"fmt"
	"maps"
	"sync/atomic"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// Who watches a row hears of every commit that changes it, of no other, and
// finds the change in a new Image.
func TestWatch(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/m", "memfs"))
	var all, mounts, table atomic.Int64
	defer r.Watch(MountsRow(), func() { table.Add(1) })()
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
	if table.Load() != 1 {
		t.Errorf("heard %d times of the table of mounts", table.Load())
	}
	r.must(vfs.Op{Verb: vfs.Unmount, Path: "/n"})
	if all.Load() != 2 || mounts.Load() != 2 || table.Load() != 2 {
		t.Errorf("heard %d times of the number, %d of the mount, %d of the table", all.Load(), mounts.Load(), table.Load())
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if mounts.Load() != 3 {
		t.Error("heard nothing of the end")
	}
}

// However many rows are watched, a commit is told to those whose rows it changes.
func TestWatchOfMany(t *testing.T) {
	r := newRig(t, nil)
	r.must(mountOp("/m", "memfs"))
	var others, told atomic.Int64
	for i := range 1000 {
		defer r.Watch(sysKey(200, byte(i), byte(i>>8)), func() { others.Add(1) })()
	}
	for range 2 {
		defer r.Watch(sysKey(rowSeq), func() { told.Add(1) })()
	}
	r.must(vfs.Op{Verb: vfs.Create, Path: "/m/a"})
	r.must(vfs.Op{Verb: vfs.RemoveAll, Path: "/m/a"})
	if others.Load() != 0 || told.Load() != 4 {
		t.Errorf("%d heard of other rows; 2 heard %d times of theirs", others.Load(), told.Load())
	}
}

// A range that is deleted is told to those whose rows are in it, once, whatever else
// the commit changes; those beside it hear nothing.
func TestWatchOfRanges(t *testing.T) {
	for _, more := range []int{0, 1000} { // fewer rows than changes, and more
		var s watches
		m := &Machine{}
		heard := map[string]int{}
		for _, row := range []string{"a", "b", "b1", "b2", "c", "d"} {
			defer m.Watch([]byte(row), func() { heard[row]++ })()
		}
		gone := m.Watch([]byte("b3"), func() { heard["b3"]++ })
		gone()
		for n := range more {
			m.Watch([]byte(fmt.Sprint("z", n)), func() { heard["z"]++ })
		}
		o := vfs.NewOverlay(nil)
		o.DeleteRange([]byte("b"), []byte("c"))
		o.DeleteRange([]byte("b1"), []byte("b9"))
		o.Put([]byte("b1"), []byte("new"))
		o.Put([]byte("d"), []byte("new"))
		for n := range 10 {
			o.Put([]byte(fmt.Sprint("y", n)), nil)
		}
		m.watches.tell(o)
		if want := map[string]int{"b": 1, "b1": 1, "b2": 1, "d": 1}; !maps.Equal(heard, want) {
			t.Errorf("with %d rows more: heard %v, not %v", more, heard, want)
		}
		s.tell(o) // of nobody
	}
}
