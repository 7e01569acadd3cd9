package tree

import (
	"encoding/binary"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/content"
)

// reapRows bounds the rows that one Op frees.
const reapRows = 1000

// What an orphan row stands for.
const (
	orphanDir     byte = iota + 1 // a directory without an entry
	orphanContent                 // extents without an inode
)

func (f *fold) orphan(id uint64, what byte) {
	f.tx.Put(idKey(orphanKey, id), []byte{what})
}

// Due asks for one Reap as long as something waits to be freed, and again a
// second later should that one get lost.
func (t *FS) Due(v vfs.View, now time.Time) (ops []vfs.Op, next time.Time) {
	for range v.Scan([]byte{orphanKey}, nil) {
		return []vfs.Op{{Verb: vfs.Reap, Path: vfs.Root}}, now.Add(time.Second)
	}
	return nil, time.Time{}
}

// reap frees about reapRows rows of orphans, in order of their ids. With
// nothing to do it changes nothing, so it may be proposed twice.
func (f *fold) reap() (vfs.Result, error) {
	for left := reapRows; left > 0; {
		id, what, ok := f.nextOrphan()
		if !ok {
			break
		}
		var done bool
		if what == orphanContent {
			done = f.reapContent(id, &left)
		} else {
			done = f.reapDir(id, &left)
		}
		if done {
			f.tx.Delete(idKey(orphanKey, id))
			left--
		}
	}
	return vfs.Result{}, nil
}

func (f *fold) nextOrphan() (id uint64, what byte, ok bool) {
	for k, v := range f.tx.Scan([]byte{orphanKey}, nil) {
		if len(k) != 9 || len(v) != 1 {
			damaged("orphan")
		}
		return binary.BigEndian.Uint64(k[1:]), v[0], true
	}
	return 0, 0, false
}

// reapContent frees extents, at most *left rows.
func (f *fold) reapContent(id uint64, left *int) (done bool) {
	key, limit := idKey(contentKey, id), max(0, *left)
	*left -= content.Rows(f.tx, key, limit)
	return content.Remove(f.tx, key, -1, limit)
}

// reapDir frees what the directory id holds, and the directory once it is
// empty. Directories in it become orphans of their own: no depth is walked.
func (f *fold) reapDir(id uint64, left *int) (done bool) {
	type child struct {
		name string
		id   uint64
	}
	var children []child
	prefix := idKey(entryKey, id)
	for k, v := range f.tx.Scan(prefix, nil) {
		if len(children) >= *left {
			break
		}
		cid, _ := decodeEntry(v)
		children = append(children, child{string(k[len(prefix):]), cid})
	}
	for _, c := range children {
		if *left <= 0 {
			return false
		}
		n := must(f.tx, c.id)
		f.tx.Delete(nameKey(id, c.name))
		*left -= 2
		if n.mode.IsDir() {
			f.free(n)
			continue
		}
		if !f.reapContent(n.content, left) {
			f.orphan(n.content, orphanContent)
		}
		f.drop(n.id)
	}
	for range f.tx.Scan(prefix, nil) {
		return false
	}
	f.drop(id)
	*left--
	return true
}
