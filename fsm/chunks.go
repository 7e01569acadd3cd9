package fsm

import (
	"encoding/binary"
	"encoding/json"
	"iter"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// maxSwept bounds the chunks that one Sweep forgets.
const maxSwept = 4096

// counts collects what one Event retains and releases, so that a reference
// that moves costs nothing.
type counts struct {
	delta map[[32]byte]int64
	order [][32]byte // of first mention: maps have none
}

func (c *counts) add(ref vfs.ChunkRef, n int64) {
	if ref.Hash == ([32]byte{}) {
		return
	}
	if c.delta == nil {
		c.delta = map[[32]byte]int64{}
	}
	if _, ok := c.delta[ref.Hash]; !ok {
		c.order = append(c.order, ref.Hash)
	}
	c.delta[ref.Hash] += n
}

// settle writes the counts into o and returns the hashes that are newly
// referred to. A count below zero fails the Event: a lost reference would let
// content be swept that is still read.
func (c *counts) settle(o *vfs.Overlay, now int64) (fresh [][32]byte, err error) {
	for _, hash := range c.order {
		d := c.delta[hash]
		if d == 0 {
			continue
		}
		key := sysKey(rowChunk, hash[:]...)
		count, since, known := chunkRow(o, key)
		n := int64(count) + d
		switch {
		case n < 0:
			return nil, vfs.Internal.With("chunk released more often than retained")
		case n == 0:
			o.Put(key, be64(0, uint64(now)))
			o.Put(numKey(rowZero, uint64(now), hash[:]...), nil)
		default:
			o.Put(key, be64(uint64(n)))
		}
		if known && count == 0 {
			o.Delete(numKey(rowZero, since, hash[:]...))
		}
		if count == 0 {
			fresh = append(fresh, hash)
		}
	}
	return fresh, nil
}

// chunkRow returns how often a chunk is referred to and, if not at all, since
// when. known is false for a chunk that was never counted or has been swept.
func chunkRow(v vfs.View, key []byte) (count, since uint64, known bool) {
	b, ok := v.Get(key)
	switch {
	case !ok:
		return 0, 0, false
	case len(b) == 8:
		return binary.BigEndian.Uint64(b), 0, true
	case len(b) == 16:
		return 0, binary.BigEndian.Uint64(b[8:]), true
	}
	broken("chunk count at %x", key)
	return 0, 0, false
}

// Counted reports whether the chunk must be kept: something in the state v
// refers to it, or nothing does but no Sweep has forgotten it yet, or it is
// part of a backup that is being taken in.
func Counted(v vfs.View, hash [32]byte) bool {
	_, ok := v.Get(sysKey(rowChunk, hash[:]...))
	if !ok {
		_, ok = v.Get(sysKey(rowHeld, hash[:]...))
	}
	return ok
}

// Chunks yields every counted chunk of the state v in order, with the number
// of references to it; zero while it waits to be swept.
func Chunks(v vfs.View) iter.Seq2[[32]byte, uint64] {
	return func(yield func([32]byte, uint64) bool) {
		prefix := sysKey(rowChunk)
		for k, b := range v.Scan(prefix, nil) {
			if len(k) != len(prefix)+32 || len(b) < 8 {
				broken("chunk count at %x", k)
			}
			if !yield([32]byte(k[len(prefix):]), binary.BigEndian.Uint64(b)) {
				return
			}
		}
	}
}

// ZeroChunks returns at most limit chunks (0: all) that nothing in the state v
// has referred to since before the given log time, oldest first.
func ZeroChunks(v vfs.View, before time.Time, limit int) [][32]byte {
	var out [][32]byte
	prefix := sysKey(rowZero)
	for k := range v.Scan(prefix, nil) {
		if len(k) != len(prefix)+8+32 {
			broken("idle chunk at %x", k)
		}
		if binary.BigEndian.Uint64(k[len(prefix):]) >= nanos(before) || limit > 0 && len(out) == limit {
			break
		}
		out = append(out, [32]byte(k[len(prefix)+8:]))
	}
	return out
}

// SweepSpec is the Data of a Sweep: log times that the leader chose.
type SweepSpec struct {
	Chunks  time.Time `json:"chunks"`  // forget chunks at zero since before this
	Uploads time.Time `json:"uploads"` // drop uploads without progress since before this
}

// EncodeSweep returns the Data of a Sweep.
func EncodeSweep(s SweepSpec) []byte { return mustJSON(s) }

// sweep forgets a bounded number of chunks and uploads. N of its Result is how
// many; the leader asks again until it is 0. The files of forgotten chunks are
// each node's own to remove.
func (e *event) sweep(op vfs.Op) (vfs.Result, error) {
	var s SweepSpec
	if err := json.Unmarshal(op.Data, &s); err != nil {
		return vfs.Result{}, vfs.Invalid.With("sweep: bad settings")
	}
	zero := ZeroChunks(e.tx, s.Chunks, maxSwept)
	for _, hash := range zero {
		key := sysKey(rowChunk, hash[:]...)
		_, since, _ := chunkRow(e.tx, key)
		e.tx.Delete(key)
		e.tx.Delete(numKey(rowZero, since, hash[:]...))
	}
	return vfs.Result{N: int64(len(zero)) + e.dropUploads(s.Uploads)}, nil
}

// nanos is a log time as rows hold it. Times before 1970 are 1970: the log
// has none.
func nanos(t time.Time) uint64 {
	if t.Before(time.Unix(0, 0)) {
		return 0
	}
	return uint64(t.UnixNano())
}

func timeOf(ns uint64) time.Time { return time.Unix(0, int64(ns)).UTC() }
