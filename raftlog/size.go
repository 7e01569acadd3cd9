package raftlog

import (
	"sort"
	"sync"

	"github.com/hashicorp/raft"
)

// markEvery is how many bytes of entries lie between two marks.
const markEvery = 128 << 10

// mark says how many bytes all entries up to and including index take, counted
// from some beginning.
type mark struct {
	index uint64
	total int64
}

// sizes knows, to about markEvery, how many bytes parts of the log take.
type sizes struct {
	mu    sync.Mutex
	marks []mark // rising; the first is of the entry before the log
	last  mark   // of the last entry
}

// begin takes the log from first to last as bytes long, evenly.
func (s *sizes) begin(first, last uint64, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last == 0 {
		return
	}
	s.marks, s.last = []mark{{first - 1, 0}}, mark{last, bytes}
}

func (s *sizes) add(logs []*raft.Log) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range logs {
		if len(s.marks) == 0 {
			s.last = mark{l.Index - 1, 0}
			s.marks = append(s.marks, s.last)
		}
		if s.last.total-s.marks[len(s.marks)-1].total >= markEvery {
			s.marks = append(s.marks, s.last)
		}
		s.last = mark{l.Index, s.last.total + cost(l)}
	}
}

// drop takes note of a deletion of the head or of the tail.
func (s *sizes) drop(from, to uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.marks) == 0 || to <= s.marks[0].index || from > s.last.index:
	case from <= s.marks[0].index+1 && to >= s.last.index:
		s.marks, s.last = nil, mark{}
	case from <= s.marks[0].index+1:
		cut := mark{to, s.at(to)}
		i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].index > to })
		s.marks = append([]mark{cut}, s.marks[i:]...)
	default:
		s.last = mark{from - 1, s.at(from - 1)}
		i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].index >= s.last.index })
		s.marks = s.marks[:max(i, 1)]
	}
}

// at is the total at an index, between two marks as if entries were alike.
func (s *sizes) at(index uint64) int64 {
	if index >= s.last.index {
		return s.last.total
	}
	i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].index > index })
	if i == 0 {
		return s.marks[0].total
	}
	a, b := s.marks[i-1], s.last
	if i < len(s.marks) {
		b = s.marks[i]
	}
	return a.total + int64(float64(b.total-a.total)*float64(index-a.index)/float64(b.index-a.index))
}

// between returns the bytes of the entries from to including last.
func (s *sizes) between(from, last uint64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.marks) == 0 || from > last {
		return 0
	}
	return s.at(last) - s.at(max(from, 1)-1)
}

// newest returns how many of the newest entries take at most bytes.
func (s *sizes) newest(bytes int64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.marks) == 0 {
		return 0
	}
	first := s.marks[0].index
	n := sort.Search(int(s.last.index-first), func(n int) bool { return s.last.total-s.at(s.last.index-uint64(n)-1) > bytes })
	return uint64(n)
}

// Bytes returns about how many bytes the entries from to including last take.
func (w *Watched) Bytes(from, last uint64) int64 { return w.sizes.between(from, last) }

// Newest returns about how many of the newest entries take at most bytes.
func (w *Watched) Newest(bytes int64) uint64 { return w.sizes.newest(bytes) }
