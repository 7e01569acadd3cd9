package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// Event is one line of "pfs debug log-dump --data", as far as it matters here.
type Event struct {
	Index uint64    `json:"index"`
	Term  uint64    `json:"term"`
	Type  string    `json:"type"`
	Key   string    `json:"key"`
	Ops   []eventOp `json:"ops"`
	Error string    `json:"error"`
}

type eventOp struct {
	Verb string `json:"verb"`
	Path string `json:"path"`
	To   string `json:"to"`
	Data string `json:"data"`
	If   *Cond  `json:"if"`
	Refs []any  `json:"refs"`
}

// Log is a piece of a node's log.
type Log struct {
	Events      []Event
	First, Last uint64 // indexes; 0 if there are no entries
	// Sums holds for each index a hash of all that the dump says of it.
	Sums map[uint64]uint64
}

// ReadLog reads a dump up to the index last; what follows may not be committed.
func ReadLog(r io.Reader, last uint64) (*Log, error) {
	l := &Log{Sums: map[uint64]uint64{}}
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return l, nil
		}
		if err != nil {
			return l, fmt.Errorf("dump: %w", err)
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return l, fmt.Errorf("dump: %w in %.200q", err, line)
		}
		if e.Index > last {
			return l, nil
		}
		if e.Error != "" {
			return l, fmt.Errorf("log entry %d: %s", e.Index, e.Error)
		}
		if l.First == 0 {
			l.First = e.Index
		}
		h := fnv.New64a()
		_, _ = h.Write(line) // a hash takes everything
		l.Sums[e.Index] = l.Sums[e.Index]*31 + h.Sum64()
		l.Events, l.Last = append(l.Events, e), e.Index
	}
}

// Same returns an error at the first index that both logs hold and where they
// differ.
func (l *Log) Same(o *Log) error {
	for i := max(l.First, o.First); i <= min(l.Last, o.Last); i++ {
		if l.Sums[i] != o.Sums[i] {
			return fmt.Errorf("the logs differ at index %d", i)
		}
	}
	return nil
}
