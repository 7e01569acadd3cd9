package queuefs

import "github.com/pfs-project/pfs/vfs"

// tally is what changes with every message of a queue.
type tally struct {
	box, grave uint64   // boxes: of the messages, of the dead ones
	next       uint64   // seq of the next message
	fence      uint64   // given last
	front      []uint64 // the lowest ranks of ready messages, in order
	from, to   uint64   // seqs [from, to) are ready, too, from before there were ranks

	ready, delayed, lent, dead uint64 // messages
	bytes                      uint64 // of content, but for the dead ones

	enqueued stamp // kept when the message is taken
	changed  stamp // anything but the settings
	cleared  stamp
	set      bool // there is a row of settings

	seenFirst, seenNext uint64 // numbers of remembered dedup ids

	totals totals
}

// totals count what was ever done.
type totals struct {
	taken, acked, nacked, expired, died, redriven, dropped, duplicates uint64
}

func (t *totals) all() []*uint64 {
	return []*uint64{&t.taken, &t.acked, &t.nacked, &t.expired, &t.died, &t.redriven, &t.dropped, &t.duplicates}
}

// live returns how many messages wait or are being worked on.
func (t *tally) live() uint64 { return t.ready + t.delayed + t.lent }

func (t *tally) encode() []byte {
	b := appendUints(append(make([]byte, 0, 256), second), t.box, t.grave, t.next, t.fence,
		t.ready, t.delayed, t.lent, t.dead, t.bytes, t.seenFirst, t.seenNext, t.from, t.to)
	b = appendStamps(b, t.enqueued, t.changed, t.cleared)
	for _, n := range t.totals.all() {
		b = appendUints(b, *n)
	}
	set := uint64(0)
	if t.set {
		set = 1
	}
	b = appendUints(b, set, uint64(len(t.front)))
	last := uint64(0)
	for _, rank := range t.front {
		b = appendUints(b, rank-last)
		last = rank
	}
	return b
}

func decodeTally(b []byte, id uint64) tally {
	if hasForm(b, format) {
		return earlyTally(b, id)
	}
	r := openAs(second, b)
	var t tally
	r.uints(&t.box, &t.grave, &t.next, &t.fence, &t.ready, &t.delayed, &t.lent, &t.dead, &t.bytes,
		&t.seenFirst, &t.seenNext, &t.from, &t.to)
	t.enqueued, t.changed, t.cleared = r.stamp(), r.stamp(), r.stamp()
	r.uints(t.totals.all()...)
	t.set = r.uint() == 1
	n := r.uint()
	if n > frontMost {
		panic(corrupt())
	}
	t.front = make([]uint64, n, frontMost+1)
	last := uint64(0)
	for i := range t.front {
		last += r.uint()
		t.front[i] = last
	}
	return t
}

func getTally(v vfs.View, id uint64) tally {
	t, ok := findTally(v, id)
	if !ok {
		panic(corrupt())
	}
	return t
}

// findTally is getTally for a queue that may be gone.
func findTally(v vfs.View, id uint64) (tally, bool) {
	b, ok := v.Get(key(rowTally, id))
	if !ok {
		return tally{}, false
	}
	return decodeTally(b, id), true
}

// save writes t as changed now.
func (t *tally) save(tx vfs.Tx, id uint64) {
	t.changed = now(tx)
	tx.Put(key(rowTally, id), t.encode())
}

// uuidKey is the key of a row below a box that has a message's id.
func uuidKey(row byte, id uint64, uuid [16]byte) []byte {
	return append(key(row, id), uuid[:]...)
}

// getMessage returns a message that another row names.
func getMessage(v vfs.View, box, seq uint64) message {
	b, ok := v.Get(numberKey(rowMessage, box, seq))
	if !ok {
		panic(corrupt())
	}
	return decodeMessage(b)
}
