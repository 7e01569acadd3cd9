package queuefs

import (
	"encoding/binary"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// The agenda is what time will bring to the queues of a mount. Its tasks are
// in buckets by time, each with a count, so that the first one is found without
// a look at tasks that came and went.
const (
	bucketShift  = 27 // nanoseconds of a bucket: 134 ms
	bucketLevels = 5
)

// What the number of a task is.
const (
	ofLease   = 'l' // a fence: the lease runs out
	ofDelayed = 'd' // a seq: the message becomes ready
)

// task is one thing to do at a time.
type task struct {
	bucket uint64
	box    uint64
	kind   byte
	number uint64
	queue  uint64
}

func buckets() index { return index{rowBuckets, 0, bucketLevels} }

// bucketOf returns the first bucket whose time is not before the nanosecond ns.
func bucketOf(ns int64) uint64 { return uint64(ns+1<<bucketShift-1) >> bucketShift }

func bucketTime(bucket uint64) time.Time { return time.Unix(0, int64(bucket<<bucketShift)).UTC() }

func (t task) key() []byte {
	k := binary.BigEndian.AppendUint64(key(rowTask, t.bucket), t.box)
	return binary.BigEndian.AppendUint64(append(k, t.kind), t.number)
}

func taskOf(k, v []byte) task {
	if len(k) != 1+8+8+1+8 {
		panic(corrupt())
	}
	return task{binary.BigEndian.Uint64(k[1:]), binary.BigEndian.Uint64(k[9:]), k[17],
		binary.BigEndian.Uint64(k[18:]), decodeID(v)}
}

// plan enters t.
func (t task) plan(tx vfs.Tx) {
	tx.Put(t.key(), encodeID(t.queue))
	n := planned(tx, t.bucket)
	if n == 0 {
		buckets().insert(tx, t.bucket)
	}
	tx.Put(key(rowBucket, t.bucket), encodeID(n+1))
}

// drop removes t; it may have been removed already.
func (t task) drop(tx vfs.Tx) {
	if _, ok := tx.Get(t.key()); !ok {
		return
	}
	tx.Delete(t.key())
	if n := planned(tx, t.bucket); n > 1 {
		tx.Put(key(rowBucket, t.bucket), encodeID(n-1))
		return
	}
	tx.Delete(key(rowBucket, t.bucket))
	buckets().remove(tx, t.bucket)
}

// planned returns how many tasks a bucket has.
func planned(v vfs.View, bucket uint64) uint64 {
	b, ok := v.Get(key(rowBucket, bucket))
	if !ok {
		return 0
	}
	return decodeID(b)
}

// due returns how many tasks have come due by now, counting no further than
// most, and when to look again.
func due(v vfs.View, now time.Time, most uint64) (n uint64, next time.Time) {
	for from := uint64(0); ; {
		b, ok := buckets().next(v, from)
		switch {
		case !ok:
			return n, time.Time{}
		case n >= most, bucketTime(b).After(now):
			return n, bucketTime(b)
		}
		n += planned(v, b)
		from = b + 1
	}
}

// dueTasks returns at most limit tasks that have come due, in order.
func dueTasks(v vfs.View, now time.Time, limit int) (out []task) {
	for from := uint64(0); len(out) < limit; {
		b, ok := buckets().next(v, from)
		if !ok || bucketTime(b).After(now) {
			break
		}
		for k, queue := range v.Scan(key(rowTask, b), nil) {
			if out = append(out, taskOf(k, queue)); len(out) == limit {
				break
			}
		}
		from = b + 1
	}
	return out
}
