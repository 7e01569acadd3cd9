package queuefs

import (
	"fmt"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// redriveMost is how many dead messages one Event brings back.
const redriveMost = 1000

// die moves a message of the box to the dead ones.
func (t *tally) die(tx vfs.Tx, seq, attempt, most uint64, reason string) {
	m := getMessage(tx, t.box, seq)
	tx.Delete(numberKey(rowMessage, t.box, seq))
	d := dead{seq: seq, attempt: attempt, at: now(tx), message: m,
		reason: lastWords(attempt, most, reason)}
	tx.Put(uuidKey(rowDead, t.grave, m.id), d.encode())
	t.bytes -= m.weight()
	t.dead++
	t.totals.died++
}

// lastWords is the reason of a dead message as it is kept.
func lastWords(attempt, most uint64, reason string) string {
	return cut(fmt.Sprintf("attempt %d/%d: %s", attempt, most, reason))
}

// findDead returns a dead message of the queue.
func (t *tally) findDead(v vfs.View, id [16]byte) (dead, bool) {
	b, ok := v.Get(uuidKey(rowDead, t.grave, id))
	if !ok {
		return dead{}, false
	}
	return decodeDead(b), true
}

// revive puts a dead message back at its place in the queue, with all attempts
// before it.
func (t *tally) revive(tx vfs.Tx, d dead) {
	tx.Delete(uuidKey(rowDead, t.grave, d.message.id))
	tx.Put(numberKey(rowMessage, t.box, d.seq), d.message.encode())
	t.push(tx, rank(d.message.priority, d.seq))
	t.bytes += d.message.size()
	t.dead--
	t.totals.redriven++
}

// redrive answers a write of ids or "*" to redrive. All that are dead now come
// back: the first of them at once, the others by Reap.
func redrive(tx vfs.Tx, id uint64, op vfs.Op) (vfs.Result, error) {
	if len(op.Refs) > 0 {
		return vfs.Result{}, vfs.TooLarge.Withf("a write to redrive may have %d bytes", vfs.MaxInline)
	}
	t := getTally(tx, id)
	words := strings.Fields(string(op.Data))
	n := uint64(len(words))
	switch {
	case len(words) == 0:
		return vfs.Result{}, vfs.Invalid.With("redrive takes ids of dead messages, one a line, or *")
	case len(words) == 1 && words[0] == "*":
		n = t.dead
		tx.Put(key(rowRedrive, id), mark{upTo: tx.Seq()}.encode())
		t.redriveOn(tx, id, redriveMost)
	default:
		for _, w := range words {
			uuid, ok := parseUUID(w)
			if !ok {
				return vfs.Result{}, vfs.Invalid.Withf("%.64q is not the id of a message", w)
			}
			d, ok := t.findDead(tx, uuid)
			if !ok {
				return vfs.Result{}, vfs.NotFound.Withf("no dead message %s", w)
			}
			t.revive(tx, d)
		}
	}
	t.save(tx, id)
	return answer{Redriven: &n}.result(op.Size(), t.changed.version)
}

// redriveOn brings back at most limit of the dead messages that were marked,
// and returns at how many it looked. The caller saves t.
func (t *tally) redriveOn(tx vfs.Tx, id uint64, limit int) int {
	b, ok := tx.Get(key(rowRedrive, id))
	if !ok {
		return 0
	}
	m := decodeMark(b)
	rows, more := collect(tx, key(rowDead, t.grave), uuidKey(rowDead, t.grave, m.from), limit)
	for _, r := range rows {
		if d := decodeDead(r.value); d.at.version <= m.upTo {
			t.revive(tx, d)
		}
	}
	if len(more) > 0 {
		m.from = [16]byte(more[9:])
		tx.Put(key(rowRedrive, id), m.encode())
	} else {
		tx.Delete(key(rowRedrive, id))
	}
	return len(rows)
}
