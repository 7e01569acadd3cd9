package streamfs

import (
	"slices"
	"sort"
	"sync/atomic"
)

// budget is how much memory the streams of a mount take on this node, in bytes.
type budget struct {
	most int64
	used atomic.Int64
}

// take takes n bytes, or none if there are not so many.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.most {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// Bounds of a block, in bytes.
const (
	blockLeast = 1 << 10
	blockMost  = 64 << 10
)

// memRing keeps the last bytes of a stream, by their offsets. It takes memory as
// it grows, and none once it is full: what it forgets makes room for what comes.
type memRing struct {
	most        int64 // bytes that are kept
	yields      bool  // where there is no more memory it forgets, and does not refuse
	held        *budget
	oldest, end int64 // offsets: of the first byte that is kept, behind the last
	blocks      []block
}

// block is some bytes of a ring. Its capacity does not change.
type block struct {
	off  int64
	b    []byte
	cost int64 // of the budget
}

func (b *block) end() int64 { return b.off + int64(len(b.b)) }

// append puts p, at most blockMost bytes, behind the end: all of it, or nothing
// if there is no memory for it.
func (r *memRing) append(p []byte) bool {
	fits := 0
	if n := len(r.blocks); n > 0 {
		fits = min(cap(r.blocks[n-1].b)-len(r.blocks[n-1].b), len(p))
	}
	oldest := max(r.oldest, r.end+int64(len(p))-r.most)
	var more block
	if fits < len(p) {
		var ok bool
		if more, oldest, ok = r.room(len(p)-fits, oldest); !ok {
			return false
		}
	}
	if fits > 0 {
		last := &r.blocks[len(r.blocks)-1]
		last.b = append(last.b, p[:fits]...)
	}
	if fits < len(p) {
		more.off, more.b = r.end+int64(fits), append(more.b, p[fits:]...)
		r.blocks = append(r.blocks, more)
	}
	r.oldest, r.end = oldest, r.end+int64(len(p))
	gone := 0
	for gone < len(r.blocks)-1 && r.blocks[gone].end() <= oldest {
		r.held.give(r.blocks[gone].cost)
		gone++
	}
	r.blocks = slices.Delete(r.blocks, 0, gone)
	return true
}

// room returns an empty block for n bytes: one that is forgotten by then, or a
// new one. A ring that is full, or that yields, forgets more for it where there
// is no more memory. It returns the offset from which on bytes are kept.
func (r *memRing) room(n int, oldest int64) (block, int64, bool) {
	want := max(blockLeast, int64(n), min(r.end-r.oldest, blockMost))
	older := max(len(r.blocks)-1, 0) // the last one stays: it takes more
	if b, ok := r.reuse(n, oldest, older); ok {
		return b, oldest, true
	}
	if r.held.take(want) {
		return block{b: make([]byte, 0, want), cost: want}, oldest, true
	}
	if older > 0 && (r.yields || oldest > r.blocks[0].off) {
		freed := int64(0)
		for i := range older {
			freed += r.blocks[i].cost
			oldest = max(oldest, r.blocks[i].end())
			if b, ok := r.reuse(n, oldest, older); ok {
				return b, oldest, true
			}
			if freed >= want {
				for j := range i + 1 {
					r.blocks[j].cost = 0 // it is the new one's
				}
				r.held.give(freed - want)
				return block{b: make([]byte, 0, want), cost: want}, oldest, true
			}
		}
	}
	if r.yields { // what a relay costs covers it
		return block{b: make([]byte, 0, want)}, oldest, true
	}
	return block{}, 0, false
}

// reuse takes the memory of a block among the first that ends before oldest and
// has room for n bytes.
func (r *memRing) reuse(n int, oldest int64, among int) (block, bool) {
	for i := range among {
		b := &r.blocks[i]
		if b.end() > oldest {
			break
		}
		if cap(b.b) >= n {
			free := block{b: b.b[:0], cost: b.cost}
			b.off, b.b, b.cost = b.end(), nil, 0
			return free, true
		}
	}
	return block{}, false
}

// read fills b from off on, which is not forgotten and not behind the end.
func (r *memRing) read(b []byte, off int64) (n int) {
	i := sort.Search(len(r.blocks), func(i int) bool { return r.blocks[i].end() > off })
	for ; i < len(r.blocks) && n < len(b); i++ {
		from := r.blocks[i].b[off+int64(n)-r.blocks[i].off:]
		n += copy(b[n:], from)
	}
	return n
}

// drop forgets all.
func (r *memRing) drop() {
	for i := range r.blocks {
		r.held.give(r.blocks[i].cost)
	}
	r.blocks, r.oldest = nil, r.end
}
