package localfs

import (
	"hash/fnv"
	"slices"

	"github.com/pfs-project/pfs/vfs"
)

// lock locks paths, "" for none, and returns what unlocks them.
func (f *FS) lock(paths ...vfs.Path) (unlock func()) {
	var at []int
	for _, p := range paths {
		if p != "" {
			h := fnv.New32a()
			_, _ = h.Write([]byte(p)) // never fails
			at = append(at, int(h.Sum32()%uint32(len(f.locks))))
		}
	}
	slices.Sort(at) // in one order, so that nobody waits for one who waits for him
	at = slices.Compact(at)
	for _, i := range at {
		f.locks[i].Lock()
	}
	return func() {
		for _, i := range at {
			f.locks[i].Unlock()
		}
	}
}

// check holds the condition of an Op against what is there.
func (f *FS) check(op vfs.Op) error {
	if op.If.Kind == vfs.Always {
		return nil
	}
	st, err := f.look(op.Path)
	if err != nil && vfs.KindOf(err) != vfs.NotFound {
		return err
	}
	var now uint64
	if err == nil {
		now = version(st)
	}
	if ok := map[vfs.CondKind]bool{vfs.IfAbsent: now == 0, vfs.IfExists: now != 0,
		vfs.IfVersion: now != 0 && now == op.If.Version}[op.If.Kind]; !ok {
		return &vfs.Error{Kind: vfs.Stale, Version: now}
	}
	return nil
}
