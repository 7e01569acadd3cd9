package queuefs

import (
	"bytes"
	"slices"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

const (
	reapRows  = 1000    // about how many rows one Reap frees
	reapBytes = 4 << 20 // and about how many bytes of them it looks at at once
	reapTasks = 256     // how many leases and delays one Reap ends
	reapsMost = 32      // that are asked for at once
)

// Due asks for Reaps while there is something that nobody can reach, or that
// has come due.
func (FS) Due(v vfs.View, now time.Time) ([]vfs.Op, time.Time) {
	n, next := due(v, now, reapTasks*reapsMost)
	reaps := int(min((n+reapTasks-1)/reapTasks, reapsMost))
	for _, row := range []byte{rowRedrive, rowBox, rowGone} {
		if _, _, ok := first(v, row); ok {
			reaps = max(reaps, 1)
		}
	}
	return slices.Repeat([]vfs.Op{{Verb: vfs.Reap, Path: vfs.Root}}, reaps), next
}

// first returns the row of this kind with the lowest id.
func first(v vfs.View, row byte) (id uint64, value []byte, ok bool) {
	for k, b := range v.Scan([]byte{row}, nil) {
		return idOf(k), bytes.Clone(b), true
	}
	return 0, nil, false
}

// reap does what has come due, and then frees about reapRows rows: what is to
// be redriven first, then boxes, then removed queues. It is no error when there
// is nothing to do.
func reap(tx vfs.Tx) (vfs.Result, error) {
	tasks := dueTasks(tx, tx.Now(), reapTasks)
	for _, t := range tasks {
		t.do(tx)
	}
	for left := reapRows - len(tasks); left > 0; {
		if id, _, ok := first(tx, rowRedrive); ok {
			left -= reapRedrive(tx, id, left)
		} else if box, b, ok := first(tx, rowBox); ok {
			left -= reapBox(tx, box, decodeOrphan(b), left)
		} else if id, _, ok := first(tx, rowGone); ok {
			left -= reapQueue(tx, id, left)
		} else {
			break
		}
	}
	return vfs.Result{Version: tx.Seq()}, nil
}

// do carries out a task whose time has come. What belongs to a box that nobody
// can reach is left to reapBox.
func (t task) do(tx vfs.Tx) {
	q, ok := findTally(tx, t.queue)
	if !ok || q.box != t.box {
		t.drop(tx)
		return
	}
	if t.kind == ofDelayed {
		m := getMessage(tx, q.box, t.number)
		b, ok := tx.Get(uuidKey(rowDelayed, q.box, m.id))
		if !ok {
			panic(corrupt())
		}
		d := decodeDelayed(b)
		q.ripen(tx, t.queue, m.id, d)
		q.again(tx, d.seq, d.attempt)
	} else {
		b, ok := tx.Get(numberKey(rowLease, q.box, t.number))
		if !ok {
			panic(corrupt())
		}
		l := decodeLease(b)
		q.end(tx, t.queue, l, t.number)
		q.totals.expired++
		s := settler{tx, t.queue, &q, getSettings(tx, t.queue, &q)}
		s.back(l, 0, "", "the lease ran out")
	}
	q.save(tx, t.queue)
}

func reapRedrive(tx vfs.Tx, id uint64, limit int) int {
	t, ok := findTally(tx, id)
	if !ok {
		tx.Delete(key(rowRedrive, id))
		return 1
	}
	n := t.redriveOn(tx, id, limit)
	t.save(tx, id)
	return n + 1
}

// reapBox frees what is in a box, at most limit rows, and returns about how
// many it took: leases, then delays, then messages; or dead messages.
func reapBox(tx vfs.Tx, box uint64, o orphan, limit int) int {
	prefix := key(o.row, box)
	rows, more := collect(tx, prefix, o.from, limit)
	for _, r := range rows {
		switch o.row {
		case rowLease:
			decodeLease(r.value).task(0, box, idOf(r.key[8:])).drop(tx)
		case rowDelayed:
			decodeDelayed(r.value).task(0, box).drop(tx)
		case rowMessage:
			release(tx, decodeMessage(r.value))
		case rowDead:
			release(tx, decodeDead(r.value).message)
		}
		tx.Delete(r.key)
	}
	switch {
	case len(more) > 0:
		o.from = more
	case o.row == rowLease:
		o = orphan{row: rowDelayed}
	case o.row == rowDelayed:
		o = orphan{row: rowMessage}
	default:
		for _, row := range []byte{rowTried, rowReady} {
			tx.DeleteRange(key(row, box), vfs.PrefixEnd(key(row, box)))
		}
		tx.Delete(key(rowBox, box))
		return len(rows) + 1
	}
	tx.Put(key(rowBox, box), o.encode())
	return len(rows) + 1
}

// pair is one row, copied.
type pair struct{ key, value []byte }

// collect returns at most limit rows, of not much more than reapBytes, and the
// key of the one after them; nil if there is none.
func collect(v vfs.View, prefix, from []byte, limit int) (rows []pair, more []byte) {
	if len(from) == 0 {
		from = nil
	}
	size := 0
	for k, b := range v.Scan(prefix, from) {
		if len(rows) == limit || size > reapBytes {
			return rows, bytes.Clone(k)
		}
		size += len(b)
		rows = append(rows, pair{bytes.Clone(k), bytes.Clone(b)})
	}
	return rows, nil
}

// reapQueue removes the queues right below a removed one from it, at most
// limit, and the queue itself once there are none.
func reapQueue(tx vfs.Tx, id uint64, limit int) int {
	below, more := collect(tx, key(rowEntry, id), nil, limit)
	for _, e := range below {
		tx.Delete(e.key)
		tx.Put(key(rowGone, decodeID(e.value)), []byte{format})
	}
	if len(more) > 0 {
		return len(below)
	}
	t := getTally(tx, id)
	t.dropAll(tx)
	t.buryAll(tx)
	for _, row := range []byte{rowSeen, rowSeenAt} {
		tx.DeleteRange(key(row, id), vfs.PrefixEnd(key(row, id)))
	}
	for _, row := range []byte{rowQueue, rowTally, rowSettings, rowRedrive, rowGone} {
		tx.Delete(key(row, id))
	}
	return len(below) + 1
}
