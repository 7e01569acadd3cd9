package load

import (
	"runtime"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are kept in microseconds with three digits, up to an hour.
const (
	longest = int64(time.Hour / time.Microsecond)
	digits  = 3
)

// tally is what the clients of one Run add up. A histogram takes some 200 KB,
// so clients share a few.
type tally struct {
	begun, from, to time.Time // start, end of the warm-up, end
	shards          []*shard

	mu     sync.Mutex
	errors int64
	first  error
	perSec float64
	sent   int64 // in the warm-up too, whatever became of them
}

type shard struct {
	mu     sync.Mutex
	times  *hdrhistogram.Histogram
	late   int64 // requests of an open loop that were never sent
	worked int64
}

func newTally(s Spec) *tally {
	now := time.Now()
	t := &tally{begun: now, from: now.Add(s.Warm), to: now.Add(s.Warm + s.For)}
	for range min(s.Clients, 4*runtime.GOMAXPROCS(0)) {
		t.shards = append(t.shards, &shard{times: hdrhistogram.New(1, longest, digits)})
	}
	return t
}

func (t *tally) shard(client int) *shard { return t.shards[client%len(t.shards)] }

func (s *shard) answered(d time.Duration) {
	s.mu.Lock()
	s.worked++
	record(s.times, d)
	s.mu.Unlock()
}

func (s *shard) missed(d time.Duration, counted bool) {
	if !counted {
		return
	}
	s.mu.Lock()
	s.late++
	record(s.times, d)
	s.mu.Unlock()
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(1, d.Microseconds()), longest)) // it refuses only what is outside
}

func (t *tally) failed(err error, counted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == nil {
		t.first = err
	}
	if counted {
		t.errors++
	}
}

// rate adds a client's own rate: n answers between first and last. In a closed
// loop these are the start of its first request that counts and the end of its
// last one, so the time holds whole requests and nothing beside them, and one
// that hangs over the end weighs on its client alone.
func (t *tally) rate(n int, first, last time.Time) {
	if n == 0 {
		return
	}
	t.mu.Lock()
	t.perSec += float64(n) / max(last.Sub(first), time.Microsecond).Seconds()
	t.mu.Unlock()
}

func (t *tally) add(sent int64) {
	t.mu.Lock()
	t.sent += sent
	t.mu.Unlock()
}
