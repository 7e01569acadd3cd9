package kvfs

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// The rows beside those of the tree. Numbers are eight bytes, big endian.
const (
	rowEnd   = 't' // id of a key -> when it ends, in Unix nanoseconds
	rowOrder = 'x' // when, id -> nothing
)

// optionTTL is how long a key lives, in a Write's options.
const optionTTL = "ttl"

// Bounds of how long a key lives.
const (
	ttlLeast = time.Millisecond
	ttlMost  = 10 * 365 * 24 * time.Hour
)

// endedAtOnce bounds the keys that one Reap ends.
const endedAtOnce = 64

// parseTTL reads a time such as 30s, or seconds; 0 is for ever.
func parseTTL(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		n, nerr := strconv.ParseFloat(text, 64)
		if nerr != nil || math.IsNaN(n) || math.Abs(n) > 1e9 {
			return 0, vfs.Invalid.With("ttl must be a time such as 30s, or seconds; 0 keeps the key for ever")
		}
		d = time.Duration(n * float64(time.Second))
	}
	if d != 0 && (d < ttlLeast || d > ttlMost) {
		return 0, vfs.Invalid.Withf("ttl must be 0, or %v to %v", ttlLeast, ttlMost)
	}
	return d, nil
}

func endKey(id uint64) []byte { return binary.BigEndian.AppendUint64([]byte{rowEnd}, id) }

func orderKey(ns, id uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte{rowOrder}, ns), id)
}

func damaged() vfs.StoreFault { return vfs.StoreFault{Err: errors.New("kvfs: damaged row")} }

// endOf returns when the key ends, in Unix nanoseconds; false if it does not.
func endOf(v vfs.View, id uint64) (ns uint64, ok bool) {
	b, ok := v.Get(endKey(id))
	if !ok {
		return 0, false
	}
	if len(b) != 8 {
		panic(damaged())
	}
	return binary.BigEndian.Uint64(b), true
}

// forget keeps a key for ever, or drops the rows of one that is gone.
func forget(tx vfs.Tx, id uint64) {
	if ns, ok := endOf(tx, id); ok {
		tx.Delete(endKey(id))
		tx.Delete(orderKey(ns, id))
	}
}

// endAfter lets a key end a while from now.
func endAfter(tx vfs.Tx, id uint64, d time.Duration) {
	forget(tx, id)
	if d == 0 {
		return
	}
	ns := uint64(tx.Now().Add(d).UnixNano())
	tx.Put(endKey(id), binary.BigEndian.AppendUint64(nil, ns))
	tx.Put(orderKey(ns, id), nil)
}

// over returns the keys whose time is over, the first `most` of them, and when
// the next one's is; zero if no other has an end.
func over(v vfs.View, now time.Time, most int) (ids []uint64, next time.Time) {
	for k := range v.Scan([]byte{rowOrder}, nil) {
		if len(k) != 1+8+8 {
			panic(damaged())
		}
		at := time.Unix(0, int64(binary.BigEndian.Uint64(k[1:]))).UTC()
		if at.After(now) || len(ids) == most {
			return ids, at
		}
		ids = append(ids, binary.BigEndian.Uint64(k[9:]))
	}
	return ids, time.Time{}
}
