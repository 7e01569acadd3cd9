package early

import "github.com/pfs-project/pfs/vfs"

// reapRows is about how many rows one Reap frees.
const reapRows = 1000

// first returns the lowest id that has a row of this kind.
func first(v vfs.View, row byte) (uint64, bool) {
	for k := range v.Scan([]byte{row}, nil) {
		return idOf(k), true
	}
	return 0, false
}

// orphan leaves what a queue holds to Reap; false when it holds nothing.
func orphan(tx vfs.Tx, t tally) bool {
	if t.count() == 0 {
		return false
	}
	tx.Put(key(rowBox, t.box), span{t.head, t.next}.encode())
	return true
}

// reap frees about reapRows rows: messages first, then removed queues. It is
// no error when there are none left.
func reap(tx vfs.Tx) (vfs.Result, error) {
	for left := reapRows; left > 0; {
		if box, ok := first(tx, rowBox); ok {
			left -= reapBox(tx, box, left)
		} else if id, ok := first(tx, rowGone); ok {
			left -= reapQueue(tx, id, left)
		} else {
			break
		}
	}
	return vfs.Result{Version: tx.Seq()}, nil
}

// reapBox frees the oldest messages of a box, at most limit, and returns how
// many rows it took.
func reapBox(tx vfs.Tx, box uint64, limit int) int {
	b, _ := tx.Get(key(rowBox, box))
	s := decodeSpan(b)
	rows := 0
	for ; s.from < s.to && rows < limit; s.from++ {
		k := messageKey(box, s.from)
		b, ok := tx.Get(k)
		if !ok {
			panic(corrupt())
		}
		release(tx, decodeMessage(b))
		tx.Delete(k)
		rows++
	}
	if s.from == s.to {
		tx.Delete(key(rowBox, box))
	} else {
		tx.Put(key(rowBox, box), s.encode())
	}
	return rows + 1
}

// reapQueue removes the queues right below a removed one from it, at most
// limit, and the queue itself once there are none.
func reapQueue(tx vfs.Tx, id uint64, limit int) int {
	prefix := key(rowEntry, id)
	type entry struct{ key, id []byte }
	var below []entry
	for k, v := range tx.Scan(prefix, nil) {
		if len(below) == limit {
			break
		}
		below = append(below, entry{append([]byte(nil), k...), append([]byte(nil), v...)})
	}
	for _, e := range below {
		tx.Delete(e.key)
		tx.Put(key(rowGone, decodeID(e.id)), []byte{format})
	}
	if len(below) < limit {
		orphan(tx, getTally(tx, id))
		tx.Delete(key(rowQueue, id))
		tx.Delete(key(rowTally, id))
		tx.Delete(key(rowGone, id))
	}
	return len(below) + 1
}
