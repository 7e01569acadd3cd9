package queuefs

// A queue from before there were leases is its messages [head, next) in a box,
// in order, and nothing else. Its rows are read for what they mean now, and are
// written anew when they change: no Event has to turn over a whole queue.

// second is the first byte of values that had another form before.
const second = 2

// isEarly reports whether a value has the form before.
func isEarly(b []byte) bool { return len(b) > 0 && b[0] == format }

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
