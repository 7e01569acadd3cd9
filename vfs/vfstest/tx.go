package vfstest

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// Tx is a [vfs.Tx] over a [State]. It panics with a [Misuse] when it is used
// in a way that the contract forbids.
type Tx struct {
	strict
	state *State
	over  *vfs.Overlay
	delta map[[32]byte]int
	scans int
	done  bool
}

// Misuse is what a [Tx] panics with.
type Misuse struct{ error }

// NewTx returns a Tx over an empty state of its own, with the number 1.
func NewTx() *Tx { return NewState().Begin() }

// Begin starts an Event.
func (s *State) Begin() *Tx {
	over := vfs.NewOverlay(s.pairs)
	return &Tx{strict: strict{over}, state: s, over: over, delta: map[[32]byte]int{}}
}

// Commit makes the changes part of the State, under the next number. A chunk
// counted out more often than in is a [Misuse].
func (t *Tx) Commit() {
	t.use()
	t.done = true
	counts := maps.Clone(t.state.counts)
	for hash, n := range t.delta {
		if counts[hash] += n; counts[hash] == 0 {
			delete(counts, hash)
		}
		if counts[hash] < 0 {
			panic(Misuse{fmt.Errorf("chunk %x is released more often than retained", hash[:4])})
		}
	}
	t.state.pairs, t.state.counts = t.state.pairs.with(t.over), counts
	t.state.seq++
}

// Drop ends the Event without changes, unless it has been committed.
func (t *Tx) Drop() { t.done = true }

func (t *Tx) use() {
	if t.done {
		panic(Misuse{errors.New("Tx used after its Event")})
	}
}

func (t *Tx) change() {
	t.use()
	if t.scans > 0 {
		panic(Misuse{errors.New("Tx changed while a Scan runs over it")})
	}
}

// Get returns the value of key as changed so far.
func (t *Tx) Get(key []byte) ([]byte, bool) {
	t.use()
	return t.strict.Get(key)
}

// Scan yields pairs as changed so far. Changes while it runs are a [Misuse].
func (t *Tx) Scan(prefix, from []byte) iter.Seq2[[]byte, []byte] {
	t.use()
	in := t.strict.Scan(prefix, from)
	return func(yield func(k, v []byte) bool) {
		t.use()
		t.scans++
		defer func() { t.scans-- }()
		in(yield)
	}
}

// Put sets key.
func (t *Tx) Put(key, value []byte) {
	t.change()
	t.over.Put(key, value)
}

// Delete removes key.
func (t *Tx) Delete(key []byte) {
	t.change()
	t.over.Delete(key)
}

// DeleteRange removes the keys in [from, to).
func (t *Tx) DeleteRange(from, to []byte) {
	t.change()
	t.over.DeleteRange(from, to)
}

// Retain counts a chunk in.
func (t *Tx) Retain(ref vfs.ChunkRef) { t.count(ref, 1) }

// Release counts a chunk out.
func (t *Tx) Release(ref vfs.ChunkRef) { t.count(ref, -1) }

func (t *Tx) count(ref vfs.ChunkRef, n int) {
	t.use()
	if ref.Hash != ([32]byte{}) {
		t.delta[ref.Hash] += n
	}
}

// Counts returns how often each chunk is referred to now, in this Event.
func (t *Tx) Counts() map[[32]byte]int {
	counts := maps.Clone(t.state.counts)
	for hash, n := range t.delta {
		if counts[hash] += n; counts[hash] == 0 {
			delete(counts, hash)
		}
	}
	return counts
}

// Now returns the State's clock.
func (t *Tx) Now() time.Time {
	t.use()
	return t.state.now
}

// Seq returns the number that the Event gets.
func (t *Tx) Seq() uint64 {
	t.use()
	return t.state.seq + 1
}
