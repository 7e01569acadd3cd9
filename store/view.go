package store

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pfs-project/pfs/vfs"
)

// View is the live state: it sees every Commit. It is for the goroutine that
// commits, and no Scan of it may be open across a Commit.
type View struct{ reader }

// Snapshot is the state at one moment, a [vfs.View] for any number of
// goroutines. Values that Get returns are shared, must not be changed, and stay
// valid; pairs of a Scan are valid until the next step. A fault panics with a
// vfs.StoreFault.
type Snapshot struct {
	reader
	at   uint64 // a commit that is in it; a later one may be too
	snap *pebble.Snapshot
	s    *Store
	once sync.Once
}

// View returns the live view; it may be kept until Close.
func (s *Store) View() *View { return &View{reader{r: s.db, rows: s.rows}} }

// Get returns the value of key, and whether there is one.
func (v *View) Get(key []byte) ([]byte, bool) { return v.get(key, v.rows.last()) }

// Snapshot returns the state of this moment, to be closed soon: it holds what
// later commits replace. After Close it is one whose reads panic.
func (s *Store) Snapshot() *Snapshot {
	if err := s.enter(); err != nil {
		return &Snapshot{reader: reader{err: err}}
	}
	at := s.rows.last() // first: a commit may be under way
	snap := s.db.NewSnapshot()
	return &Snapshot{reader: reader{r: snap, rows: s.rows}, at: at, snap: snap, s: s}
}

// Get returns the value of key, and whether there is one.
func (s *Snapshot) Get(key []byte) ([]byte, bool) { return s.get(key, s.at) }

// Close releases the Snapshot. Nobody may read it any more. Closing twice is
// harmless.
func (s *Snapshot) Close() {
	s.once.Do(func() {
		if s.snap != nil {
			defer s.s.leave()
			if err := s.snap.Close(); err != nil {
				panic(vfs.StoreFault{Err: err})
			}
		}
	})
}

type reader struct {
	r    pebble.Reader
	rows *rowCache
	err  error
}

// get reads a row at a moment that is commit at or later.
func (r reader) get(key []byte, at uint64) ([]byte, bool) {
	r.check(r.err)
	h := r.rows.hash(key)
	if kept := r.rows.find(h, key, at); kept != nil {
		return kept.value()
	}
	value, closer, err := r.r.Get(key)
	absent := errors.Is(err, pebble.ErrNotFound)
	if !absent {
		r.check(err)
	}
	var read *row
	if cacheable(key, value) {
		read = newRow(key, value, absent)
		r.rows.fill(h, read, at)
	} else if !absent {
		value = append(make([]byte, 0, len(value)), value...)
	}
	if !absent {
		r.check(closer.Close())
	}
	if read != nil {
		return read.value()
	}
	return value, !absent
}

// Scan yields the pairs whose keys start with prefix and are not below from,
// in key order, each valid until the next step. Every range over it has an
// iterator of its own.
func (r reader) Scan(prefix, from []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		r.check(r.err)
		low := slices.Clone(prefix)
		if bytes.Compare(from, prefix) > 0 {
			low = slices.Clone(from)
		}
		if len(low) == 0 {
			low = nil // pebble's checks, built for the race detector, trip over an empty bound
		}
		it, err := r.r.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: vfs.PrefixEnd(prefix)})
		r.check(err)
		defer func() { r.check(it.Close()) }()
		for ok := it.First(); ok; ok = it.Next() {
			v, err := it.ValueAndErr()
			r.check(err)
			if !yield(it.Key(), v) {
				return
			}
		}
		r.check(it.Error())
	}
}

func (reader) check(err error) {
	if err != nil {
		panic(vfs.StoreFault{Err: corrupt(err)})
	}
}
