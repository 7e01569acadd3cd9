package queuefs

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// lease is one message lent to a worker.
type lease struct {
	seq      uint64
	attempt  uint64 // how often the message was lent, this time included
	deadline int64  // nanoseconds
	at       stamp  // when it was taken, and the Event that set the deadline
}

func (l lease) encode() []byte {
	b := appendUints([]byte{format}, l.seq, l.attempt, uint64(l.deadline))
	return appendStamps(b, l.at)
}

func decodeLease(b []byte) lease {
	r := open(b)
	return lease{r.uint(), r.uint(), int64(r.uint()), r.stamp()}
}

// task is the entry of the lease in the agenda.
func (l lease) task(queue, box, fence uint64) task {
	return task{bucketOf(l.deadline), box, ofLease, fence, queue}
}

// leaseText is the name of a lease, in answers and in inflight.
func leaseText(box, fence uint64) string { return fmt.Sprintf("%x-%016x", box, fence) }

// parseLease reads what leaseText wrote, and nothing else.
func parseLease(s string) (box, fence uint64, ok bool) {
	left, right, _ := strings.Cut(s, "-")
	box, err1 := strconv.ParseUint(left, 16, 64)
	fence, err2 := strconv.ParseUint(right, 16, 64)
	return box, fence, err1 == nil && err2 == nil && leaseText(box, fence) == s
}

// delayed is one message that is not ready yet.
type delayed struct {
	seq     uint64
	attempt uint64 // how often it was lent
	until   int64  // nanoseconds
	at      stamp
}

func (d delayed) encode() []byte {
	b := appendUints([]byte{format}, d.seq, d.attempt, uint64(d.until))
	return appendStamps(b, d.at)
}

func decodeDelayed(b []byte) delayed {
	r := open(b)
	return delayed{r.uint(), r.uint(), int64(r.uint()), r.stamp()}
}

func (d delayed) task(queue, box uint64) task {
	return task{bucketOf(d.until), box, ofDelayed, d.seq, queue}
}

// dead is one message that nobody could work off.
type dead struct {
	seq     uint64
	attempt uint64
	at      stamp
	reason  string
	message message
}

func (d dead) encode() []byte {
	b := appendUints([]byte{format}, d.seq, d.attempt)
	b = appendUints(appendStamps(b, d.at), uint64(len(d.reason)))
	return d.message.append(append(b, d.reason...))
}

func decodeDead(b []byte) dead {
	r := open(b)
	d := dead{seq: r.uint(), attempt: r.uint(), at: r.stamp()}
	n := r.uint()
	if n > uint64(len(r.b)) {
		panic(corrupt())
	}
	d.reason = string(r.take(int(n)))
	d.message = decodeMessage(r.b)
	return d
}

// mark is dead messages on their way back: those that died up to an Event,
// from an id on.
type mark struct {
	upTo uint64
	from [16]byte
}

func (m mark) encode() []byte {
	return append(appendUints([]byte{format}, m.upTo), m.from[:]...)
}

func decodeMark(b []byte) mark {
	r := open(b)
	return mark{r.uint(), [16]byte(r.take(16))}
}

// seen is where the message with a dedup id went.
type seen struct {
	n   uint64 // its place in the order
	ns  int64
	seq uint64
	id  [16]byte
}

func (s seen) encode() []byte {
	return append(appendUints([]byte{format}, s.n, uint64(s.ns), s.seq), s.id[:]...)
}

func decodeSeen(b []byte) seen {
	r := open(b)
	return seen{r.uint(), int64(r.uint()), r.uint(), [16]byte(r.take(16))}
}

func seenKey(queue uint64, text string) []byte { return append(key(rowSeen, queue), text...) }

// orphan is a box that is being emptied: the row that it is at, and the key
// from which on.
type orphan struct {
	row  byte
	from []byte
}

func (o orphan) encode() []byte { return append([]byte{second, o.row}, o.from...) }

func decodeOrphan(b []byte) orphan {
	if hasForm(b, format) { // it tells which messages there are
		return orphan{row: rowMessage}
	}
	r := openAs(second, b)
	return orphan{r.take(1)[0], r.b}
}

// tried returns how often a message that is not lent was lent before.
func tried(v vfs.View, box, seq uint64) uint64 {
	b, ok := v.Get(numberKey(rowTried, box, seq))
	if !ok {
		return 0
	}
	return decodeID(b)
}
