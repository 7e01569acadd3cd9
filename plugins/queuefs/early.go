package queuefs

import (
	"github.com/pfs-project/pfs/plugins/queuefs/early"
	"github.com/pfs-project/pfs/vfs"
)

// Before feature level 3 there were no leases. A mount is of that time as long
// as the row of its root says so; package early folds its Ops meanwhile. A queue
// of that time is its messages [head, next) in a box, in order, and nothing
// else. Once the level is reached its rows are read for what they mean now, and
// written anew when they change: no Event has to turn over a whole mount.

// since is the feature level that brought leases.
const since = 3

// second is the first byte of values that had another form before.
const second = 2

func hasForm(b []byte, form byte) bool { return len(b) > 0 && b[0] == form }

// isEarly reports whether members that know no leases may fold this mount.
func isEarly(v vfs.View) bool {
	b, ok := v.Get(key(rowQueue, rootID))
	return ok && hasForm(b, format)
}

// Level tells the mount the feature level of the cluster. That of a cluster
// that has just begun is 0: its members are of this version.
func (FS) Level(tx vfs.Tx, level uint64) {
	k := key(rowQueue, rootID)
	b, ok := tx.Get(k)
	if !ok {
		panic(corrupt()) // the verb Mount has made it
	}
	q := decodeQueue(b)
	switch {
	case level >= since && hasForm(b, format):
		tx.Put(k, q.encode())
	case level > 0 && level < since && q.made.version == tx.Seq():
		tx.Put(k, q.encodeAs(format))
	}
}

// isEarly reports whether the spot was there before level 3.
func (s spot) isEarly() bool {
	_, ok := early.FileID(0, s.file)
	return ok && s.entry == ""
}

// idIn returns the id of a queue, or with a name of the file in it.
func idIn(v vfs.View, queue uint64, name string) uint64 {
	if isEarly(v) {
		id, _ := early.FileID(queue, name)
		return id
	}
	if name == "" {
		return dirID(queue)
	}
	return fileID(queue, name)
}

// earlyTally reads the tally of the queue id. Its grave needs an id that newID
// gives to no other, and its messages were not counted in bytes. The number of
// the Event that made it was in the id.
func earlyTally(b []byte, id uint64) tally {
	r := open(b)
	t := tally{grave: id | 1<<63, fence: id >> 16 << fenceBits}
	r.uints(&t.box, &t.from, &t.next)
	t.enqueued, t.changed, t.cleared = r.stamp(), r.stamp(), r.stamp()
	if t.from > t.next {
		panic(corrupt())
	}
	t.to, t.ready = t.next, t.next-t.from
	for ; t.from < t.to && len(t.front) < frontFill; t.from++ {
		t.front = append(t.front, rank(middle, t.from))
	}
	return t
}
