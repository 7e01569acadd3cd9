package queuefs

import (
	"encoding/json"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// stats is the content of stats.json. Times are those of the log: what is as of
// the last change of the queue does not go on by itself.
func (t *tally) stats(v vfs.View) string {
	seq, ok := t.oldest(v)
	if !ok {
		return t.statsWith(nil)
	}
	m := getMessage(v, t.box, seq)
	return t.statsWith(&m)
}

// statsWith is stats with the oldest ready message, nil if there is none.
func (t *tally) statsWith(oldest *message) string {
	var s struct {
		Ready     uint64  `json:"ready"`
		Delayed   uint64  `json:"delayed"`
		Inflight  uint64  `json:"inflight"`
		Dead      uint64  `json:"dead"`
		Bytes     uint64  `json:"bytes"` // of content, but for the dead ones
		Oldest    *string `json:"oldest"`
		OldestAge float64 `json:"oldest_age"` // seconds, at as_of
		AsOf      string  `json:"as_of"`

		Enqueued   uint64 `json:"enqueued_total"`
		Taken      uint64 `json:"taken_total"`
		Acked      uint64 `json:"acked_total"`
		Nacked     uint64 `json:"nacked_total"`
		Expired    uint64 `json:"expired_total"`
		Died       uint64 `json:"dead_total"`
		Redriven   uint64 `json:"redriven_total"`
		Dropped    uint64 `json:"dropped_total"`
		Duplicates uint64 `json:"duplicates_total"`
	}
	s.Ready, s.Delayed, s.Inflight, s.Dead, s.Bytes = t.ready, t.delayed, t.lent, t.dead, t.bytes
	if oldest != nil {
		at := oldest.timestamp()
		s.Oldest, s.OldestAge = &at, time.Duration(t.changed.ns-oldest.ns).Round(time.Millisecond).Seconds()
	}
	s.AsOf, s.Enqueued = timestamp(t.changed.ns), t.next-1
	n := t.totals
	s.Taken, s.Acked, s.Nacked, s.Expired = n.taken, n.acked, n.nacked, n.expired
	s.Died, s.Redriven, s.Dropped, s.Duplicates = n.died, n.redriven, n.dropped, n.duplicates
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // not of numbers and text
	}
	return string(b) + "\n"
}
