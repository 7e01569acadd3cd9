package queuefs

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// The rows of a mount. Ids and numbers are eight bytes, big endian.
const (
	rowLast     = 'n' // -> the id given last
	rowEntry    = 'e' // parent id, name -> queue id
	rowQueue    = 'q' // queue id -> queue
	rowTally    = 't' // queue id -> tally
	rowSettings = 'c' // queue id -> settings, where they were set
	rowMessage  = 'm' // box id, seq -> message
	rowTried    = 's' // box id, seq -> how often a message was lent that is not now
	rowReady    = 'r' // box id, node -> bits: ranks of ready messages
	rowLease    = 'l' // box id, fence -> lease
	rowDelayed  = 'd' // box id, message id -> delayed
	rowDead     = 'D' // box id, message id -> dead
	rowSeen     = 'u' // queue id, dedup id -> seen
	rowSeenAt   = 'o' // queue id, n -> the n-th dedup id
	rowTask     = 'a' // bucket, box id, kind, number -> queue id
	rowBucket   = 'b' // bucket -> number of tasks
	rowBuckets  = 'w' // 0, node -> bits: buckets with tasks
	rowRedrive  = 'v' // queue id -> mark: dead messages that are on their way back
	rowBox      = 'x' // box id -> orphan: messages that nobody can reach any more
	rowGone     = 'y' // queue id -> nothing: a removed queue with all below it
)

// rootID is the id of the mount's root, which holds queues but is none.
const rootID = 1

// format is the first byte of every value with more than one part, or second;
// another one is corruption.
const format = 1

// queue is the place of a queue in the tree.
type queue struct {
	parent  uint64
	name    string
	made    stamp
	changed stamp // a queue was made or removed below it, or it was touched
}

// stamp is when something happened last, and in which Event.
type stamp struct {
	ns      int64
	version uint64
}

func (s stamp) time() time.Time { return timeOf(s.ns) }

func timeOf(ns int64) time.Time { return time.Unix(0, ns).UTC() }

func key(row byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 32), row), id)
}

func entryKey(parent uint64, name string) []byte {
	return append(key(rowEntry, parent), name...)
}

// numberKey is the key of a row below a box or a queue that has a number.
func numberKey(row byte, id, n uint64) []byte {
	return binary.BigEndian.AppendUint64(key(row, id), n)
}

// idOf returns the id at the end of the key of a row that has one alone.
func idOf(k []byte) uint64 { return binary.BigEndian.Uint64(k[1:]) }

func corrupt() vfs.StoreFault {
	return vfs.StoreFault{Err: errors.New("queuefs: a row cannot be read")}
}

// reader takes a value apart. A value that ends early is corruption.
type reader struct{ b []byte }

func open(b []byte) *reader { return openAs(format, b) }

func openAs(form byte, b []byte) *reader {
	if len(b) == 0 || b[0] != form {
		panic(corrupt())
	}
	return &reader{b[1:]}
}

func (r *reader) uint() uint64 {
	n, w := binary.Uvarint(r.b)
	if w <= 0 {
		panic(corrupt())
	}
	r.b = r.b[w:]
	return n
}

func (r *reader) int() int64 {
	n, w := binary.Varint(r.b)
	if w <= 0 {
		panic(corrupt())
	}
	r.b = r.b[w:]
	return n
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		panic(corrupt())
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) stamp() stamp { return stamp{r.int(), r.uint()} }

// uints reads numbers into the places given.
func (r *reader) uints(to ...*uint64) {
	for _, p := range to {
		*p = r.uint()
	}
}

func appendUints(b []byte, ns ...uint64) []byte {
	for _, n := range ns {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func appendStamps(b []byte, stamps ...stamp) []byte {
	for _, s := range stamps {
		b = binary.AppendUvarint(binary.AppendVarint(b, s.ns), s.version)
	}
	return b
}

func (q queue) encode() []byte { return q.encodeAs(second) }

func (q queue) encodeAs(form byte) []byte {
	b := binary.AppendUvarint([]byte{form}, q.parent)
	return append(appendStamps(b, q.made, q.changed), q.name...)
}

func decodeQueue(b []byte) queue {
	form := byte(second)
	if hasForm(b, format) {
		form = format
	}
	r := openAs(form, b)
	q := queue{parent: r.uint(), made: r.stamp(), changed: r.stamp()}
	q.name = string(r.b)
	return q
}

// child returns the id of the queue called name in parent.
func child(v vfs.View, parent uint64, name string) (uint64, bool) {
	b, ok := v.Get(entryKey(parent, name))
	if !ok {
		return 0, false
	}
	return decodeID(b), true
}

func decodeID(b []byte) uint64 {
	if len(b) != 8 {
		panic(corrupt())
	}
	return binary.BigEndian.Uint64(b)
}

func encodeID(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

// find returns the id of the queue at p.
func find(v vfs.View, p vfs.Path) (uint64, bool) {
	id, ok := uint64(rootID), true
	for _, name := range p.Elems() {
		if id, ok = child(v, id, name); !ok {
			return 0, false
		}
	}
	return id, true
}

// getQueue returns a queue that an entry names; the root may be missing.
func getQueue(v vfs.View, id uint64) queue {
	b, ok := v.Get(key(rowQueue, id))
	if !ok {
		if id == rootID {
			return queue{}
		}
		panic(corrupt())
	}
	return decodeQueue(b)
}

// newID gives an id that no other row of the mount has or had.
func newID(tx vfs.Tx) uint64 {
	last := uint64(rootID)
	if b, ok := tx.Get([]byte{rowLast}); ok {
		last = decodeID(b)
	}
	id := max(last+1, tx.Seq()<<8) // the number of an Event is below 1<<47
	tx.Put([]byte{rowLast}, encodeID(id))
	return id
}

func now(tx vfs.Tx) stamp { return stamp{tx.Now().UnixNano(), tx.Seq()} }
