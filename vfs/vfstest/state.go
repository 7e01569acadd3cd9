package vfstest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// State is the state of one mount in memory, with the clock and the numbers
// that Events get. One goroutine at a time may use it; the Views it hands out
// are for any number of them and never change.
type State struct {
	pairs  image
	counts map[[32]byte]int
	seq    uint64
	now    time.Time
}

// NewState returns an empty State. Its clock stands at noon of the first day
// of 2026 until it is advanced.
func NewState() *State {
	return &State{
		counts: map[[32]byte]int{},
		now:    time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
	}
}

// Dump is a State written down.
type Dump struct {
	Pairs  []Pair
	Counts map[[32]byte]int // of chunks
	Seq    uint64
	Now    time.Time
}

// Dump returns a copy of all there is.
func (s *State) Dump() Dump {
	d := Dump{Counts: maps.Clone(s.counts), Seq: s.seq, Now: s.now}
	for _, p := range s.pairs {
		d.Pairs = append(d.Pairs, Pair{bytes.Clone(p.Key), append([]byte{}, p.Value...)})
	}
	return d
}

// Restore returns a new State like the one that was dumped.
func Restore(d Dump) *State {
	s := &State{counts: maps.Clone(d.Counts), seq: d.Seq, now: d.Now}
	for _, p := range d.Pairs {
		s.pairs = append(s.pairs, Pair{bytes.Clone(p.Key), append([]byte{}, p.Value...)})
	}
	return s
}

// View returns the state at this moment. It stays valid and does not change.
func (s *State) View() vfs.View { return strict{s.pairs} }

// Digest returns a hash of all pairs and counts of chunks. Numbers and clock
// are not part of it.
func (s *State) Digest() [32]byte { return digest(s.pairs, s.counts) }

func digest(pairs image, counts map[[32]byte]int) (sum [32]byte) {
	h := sha256.New()
	put := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	for _, p := range pairs {
		put(p.Key)
		put(p.Value)
	}
	hashes := slices.SortedFunc(maps.Keys(counts), func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	for _, k := range hashes {
		put(k[:])
		put(binary.BigEndian.AppendUint64(nil, uint64(counts[k])))
	}
	h.Sum(sum[:0])
	return sum
}

// Counts returns how often each chunk is referred to; those at zero are left
// out.
func (s *State) Counts() map[[32]byte]int { return maps.Clone(s.counts) }

// Len returns the number of pairs.
func (s *State) Len() int { return len(s.pairs) }

// Now returns the time that the next Event gets.
func (s *State) Now() time.Time { return s.now }

// Seq returns the number of the last Event.
func (s *State) Seq() uint64 { return s.seq }

// Advance moves the clock on.
func (s *State) Advance(d time.Duration) { s.now = s.now.Add(d) }

// Apply folds one Op in as an Event of its own. On an error nothing changes
// and no number is taken.
func (s *State) Apply(f vfs.Folder, op vfs.Op) (vfs.Result, error) {
	results, err := s.Event(f, op)
	if err != nil {
		return vfs.Result{}, err
	}
	return results[0], nil
}

// Event folds Ops in that commit together or not at all.
func (s *State) Event(f vfs.Folder, ops ...vfs.Op) ([]vfs.Result, error) {
	tx := s.Begin()
	defer tx.Drop()
	results := make([]vfs.Result, 0, len(ops))
	for _, op := range ops {
		r, err := f.Apply(tx, op)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	tx.Commit()
	return results, nil
}

// Work is how many Events [State.Settle] applies before it gives up.
const Work = 100_000

// Settle applies what a [vfs.Timer] asks for until it asks for nothing more
// now, as the leader would. It fails when an Op fails or work has no end. For
// any other Folder it does nothing.
func (s *State) Settle(f vfs.Folder) error {
	timer, ok := f.(vfs.Timer)
	if !ok {
		return nil
	}
	for range Work {
		ops, next := timer.Due(s.View(), s.now)
		if len(ops) == 0 {
			if !next.IsZero() && !next.After(s.now) {
				return fmt.Errorf("Due asks for nothing, and to be asked again at %v, which is not after now", next)
			}
			return nil
		}
		for _, op := range ops {
			if _, err := s.Apply(f, op); err != nil {
				return fmt.Errorf("%v that Due asked for: %w", op.Verb, err)
			}
		}
	}
	return fmt.Errorf("Due still asks for work after %d rounds", Work)
}
