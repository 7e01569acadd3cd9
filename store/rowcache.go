package store

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// rowCache keeps small rows that were read, and keys that turned out to have
// none, for all readers of a Store. It is exact: a hit is what the database
// would answer at the reader's moment.
//
// Commits are numbered from 1. Before commit j reaches the database it has
// replaced or removed the rows of the keys it writes, and left j where a reader
// who fills looks (change), or in wiped if it deletes a range. So a row that is
// found is what its key has held since commit row.since and up to every commit
// that the database can show by then: a reader who knows that his moment is not
// before that may have it. A reader that fills knows only his own moment, at:
// what he read is the present row if nothing near the key was written after it.
//
// A hit takes no lock and allocates nothing.
type rowCache struct {
	seed   maphash.Seed
	done   atomic.Uint64 // the last commit that is in the database
	wiped  atomic.Uint64 // the last that deleted a range: rows from before it are void
	shards [rowShards]rowShard
}

const (
	rowShards = 16
	rowWays   = 4       // places in a bucket
	rowBytes  = 96      // of the limit for each place; most rows take more
	rowMost   = 5 << 8  // longest key and value, together, that are kept
	rowFixed  = 48 + 16 // about what a row takes beside key and value
)

// rowShard is a part of the cache; slots hold bucket after bucket.
type rowShard struct {
	hits, misses atomic.Uint64
	_            [48]byte // keeps readers of other shards off that cache line

	slots []atomic.Pointer[row] // written under mu only

	mu      sync.Mutex
	written []uint64 // by bucket: the last commit that wrote a key of it
	bytes   int64
	limit   int64
	hand    int // of the clock that chooses what goes
}

// row is a key and its value. Only used changes after it has been shown.
type row struct {
	since  uint64 // the commit from which on it is so
	kv     []byte // the key and then the value
	tag    uint32 // of the key's hash
	used   atomic.Bool
	cut    uint16 // length of the key
	absent bool   // the key has no value
}

// newRowCache returns a cache that takes about limit bytes.
func newRowCache(limit int64) *rowCache {
	c := &rowCache{seed: maphash.MakeSeed()}
	buckets := max(1, limit/rowShards/rowWays/rowBytes)
	for i := range c.shards {
		s := &c.shards[i]
		s.slots = make([]atomic.Pointer[row], buckets*rowWays)
		s.written = make([]uint64, buckets)
		s.limit = max(0, limit/rowShards-buckets*(rowWays+1)*8)
	}
	return c
}

func newRow(key, value []byte, absent bool) *row {
	kv := make([]byte, 0, len(key)+len(value))
	return &row{kv: append(append(kv, key...), value...), cut: uint16(len(key)), absent: absent}
}

// cacheable reports whether a row is short enough to be kept.
func cacheable(key, value []byte) bool { return len(key)+len(value) <= rowMost }

func (r *row) key() []byte { return r.kv[:r.cut] }
func (r *row) size() int64 { return rowFixed + int64(len(r.kv)) }

// value is what Get returns. It is shared, and has no room to append to.
func (r *row) value() ([]byte, bool) {
	if r.absent {
		return nil, false
	}
	return r.kv[r.cut:len(r.kv):len(r.kv)], true
}

// last returns the last commit that is in the database.
func (c *rowCache) last() uint64 { return c.done.Load() }

func (c *rowCache) hash(key []byte) uint64 { return maphash.Bytes(c.seed, key) }

func (c *rowCache) shard(h uint64) *rowShard { return &c.shards[h%rowShards] }

func (s *rowShard) bucket(h uint64) int { return int(h >> 32 * uint64(len(s.written)) >> 32) }

func (s *rowShard) ways(bucket int) []atomic.Pointer[row] {
	return s.slots[bucket*rowWays : (bucket+1)*rowWays]
}

// find returns the row of the key, whose hash is h, for a reader whose moment
// is commit at or later; nil if that is not known.
func (c *rowCache) find(h uint64, key []byte, at uint64) *row {
	s := c.shard(h)
	ways := s.ways(s.bucket(h))
	for i := range ways {
		r := ways[i].Load()
		if r == nil || r.tag != uint32(h) || string(r.key()) != string(key) {
			continue
		}
		if r.since > at || r.since < c.wiped.Load() {
			break
		}
		if !r.used.Load() { // most have been: no line is taken from other readers
			r.used.Store(true)
		}
		s.hits.Add(1)
		return r
	}
	s.misses.Add(1)
	return nil
}

// fill keeps r, which was read at a moment that is commit at or later, if it
// is the present row still.
func (c *rowCache) fill(h uint64, r *row, at uint64) {
	s := c.shard(h)
	b := s.bucket(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	wiped := c.wiped.Load()
	if s.written[b] > at || wiped > at {
		return
	}
	r.since, r.tag = max(s.written[b], wiped), uint32(h)
	s.put(b, r, wiped)
	s.trim()
}

// change tells of a key that commit j is about to write. A row of it that
// somebody has read is replaced, for it will be read again.
func (c *rowCache) change(j uint64, key, value []byte, absent bool) {
	h := c.hash(key)
	s := c.shard(h)
	b := s.bucket(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written[b] = j
	ways := s.ways(b)
	for i := range ways {
		old := ways[i].Load()
		if old == nil || old.tag != uint32(h) || string(old.key()) != string(key) {
			continue
		}
		s.bytes -= old.size()
		if !cacheable(key, value) {
			ways[i].Store(nil)
			return
		}
		r := newRow(key, value, absent)
		r.since, r.tag = j, uint32(h)
		r.used.Store(old.used.Load())
		ways[i].Store(r)
		s.bytes += r.size()
		s.trim()
		return
	}
}

// wipe tells that commit j is about to delete a range. Which rows are in it
// would take a look at each: all are void.
func (c *rowCache) wipe(j uint64) { c.wiped.Store(j) }

// put stores r in its bucket, in the place of its key, or a free one, or that of
// a row that was not used for long. The caller holds mu.
func (s *rowShard) put(bucket int, r *row, wiped uint64) {
	ways := s.ways(bucket)
	place, rank := int(r.tag>>8%rowWays), 0
	for i := range ways {
		old := ways[i].Load()
		var now int
		switch {
		case old == nil:
			now = 2
		case old.tag == r.tag && string(old.key()) == string(r.key()):
			now = 3
		case old.since < wiped || !old.used.Load():
			now = 1
		}
		if now > rank {
			place, rank = i, now
		}
	}
	if rank == 0 {
		for i := range ways {
			ways[i].Load().used.Store(false)
		}
	}
	if old := ways[place].Load(); old != nil {
		s.bytes -= old.size()
	}
	ways[place].Store(r)
	s.bytes += r.size()
}

// trim makes room: what was not used since the hand last came by goes. The
// caller holds mu.
func (s *rowShard) trim() {
	for step := 0; s.bytes > s.limit; step++ {
		slot := &s.slots[s.hand]
		s.hand = (s.hand + 1) % len(s.slots)
		r := slot.Load()
		switch {
		case r == nil:
		case r.used.Load() && step < 2*len(s.slots): // readers may be as fast as the hand
			r.used.Store(false)
		default:
			slot.Store(nil)
			s.bytes -= r.size()
		}
	}
}

// RowCache is what the cache of rows tells of itself.
type RowCache struct {
	Hits, Misses uint64 // reads of one row since Open: from memory, from the database
	Bytes        int64  // held now, beside the table of places
}

// RowCache returns the present figures.
func (s *Store) RowCache() RowCache {
	var out RowCache
	for i := range s.rows.shards {
		sh := &s.rows.shards[i]
		out.Hits += sh.hits.Load()
		out.Misses += sh.misses.Load()
		sh.mu.Lock()
		out.Bytes += sh.bytes
		sh.mu.Unlock()
	}
	return out
}
