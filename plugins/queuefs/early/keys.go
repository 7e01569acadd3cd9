package early

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// The rows of a mount. Ids and positions are eight bytes, big endian.
const (
	rowLast    = 'n' // -> the id given last
	rowEntry   = 'e' // parent id, name -> queue id
	rowQueue   = 'q' // queue id -> queue
	rowTally   = 't' // queue id -> tally
	rowMessage = 'm' // box id, position -> message
	rowBox     = 'x' // box id -> span: messages that nobody can reach any more
	rowGone    = 'y' // queue id -> nothing: a removed queue with all below it
)

// rootID is the id of the mount's root, which holds queues but is none.
const rootID = 1

// format is the first byte of every value; another one is corruption.
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

func (s stamp) time() time.Time { return time.Unix(0, s.ns).UTC() }

// tally is what changes with every message of a queue.
type tally struct {
	box        uint64
	head, next uint64 // positions: of the oldest message, of the next one
	enqueued   stamp  // kept when the message is taken
	changed    stamp  // enqueued, taken or cleared
	cleared    stamp
}

func (t tally) count() uint64 { return t.next - t.head }

// span is the positions [from, to) of a box.
type span struct{ from, to uint64 }

func key(row byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{row}, id)
}

func entryKey(parent uint64, name string) []byte {
	return append(key(rowEntry, parent), name...)
}

func messageKey(box, position uint64) []byte {
	return binary.BigEndian.AppendUint64(key(rowMessage, box), position)
}

// idOf returns the id at the end of an orphan's key.
func idOf(k []byte) uint64 { return binary.BigEndian.Uint64(k[1:]) }

func corrupt() vfs.StoreFault {
	return vfs.StoreFault{Err: errors.New("queuefs: a row cannot be read")}
}

// reader takes a value apart. A value that ends early is corruption.
type reader struct{ b []byte }

func open(b []byte) *reader {
	if len(b) == 0 || b[0] != format {
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

func appendStamps(b []byte, stamps ...stamp) []byte {
	for _, s := range stamps {
		b = binary.AppendUvarint(binary.AppendVarint(b, s.ns), s.version)
	}
	return b
}

func (q queue) encode() []byte {
	b := binary.AppendUvarint([]byte{format}, q.parent)
	return append(appendStamps(b, q.made, q.changed), q.name...)
}

func decodeQueue(b []byte) queue {
	r := open(b)
	q := queue{parent: r.uint(), made: r.stamp(), changed: r.stamp()}
	q.name = string(r.b)
	return q
}

func (t tally) encode() []byte {
	b := []byte{format}
	for _, n := range []uint64{t.box, t.head, t.next} {
		b = binary.AppendUvarint(b, n)
	}
	return appendStamps(b, t.enqueued, t.changed, t.cleared)
}

func decodeTally(b []byte) tally {
	r := open(b)
	return tally{
		box: r.uint(), head: r.uint(), next: r.uint(),
		enqueued: r.stamp(), changed: r.stamp(), cleared: r.stamp(),
	}
}

func (s span) encode() []byte {
	return binary.AppendUvarint(binary.AppendUvarint([]byte{format}, s.from), s.to)
}

func decodeSpan(b []byte) span {
	r := open(b)
	return span{r.uint(), r.uint()}
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

func getTally(v vfs.View, id uint64) tally {
	b, ok := v.Get(key(rowTally, id))
	if !ok {
		panic(corrupt())
	}
	return decodeTally(b)
}

// newID gives an id that no other row of the mount has or had.
func newID(tx vfs.Tx) uint64 {
	last := uint64(rootID)
	if b, ok := tx.Get([]byte{rowLast}); ok {
		last = decodeID(b)
	}
	id := max(last+1, tx.Seq()<<16)
	tx.Put([]byte{rowLast}, encodeID(id))
	return id
}

func now(tx vfs.Tx) stamp { return stamp{tx.Now().UnixNano(), tx.Seq()} }
