package raftlog

import (
	"sync"

	"github.com/hashicorp/raft"
)

// logOverhead is about what an entry takes beside its data and extensions.
const logOverhead = 128

// cache is the most recent entries without a gap, bounded in bytes. Only
// entries that are durable are put into it.
type cache struct {
	max int64

	mu    sync.RWMutex
	logs  []*raft.Log // consecutive
	bytes int64
}

func cost(l *raft.Log) int64 { return int64(len(l.Data)+len(l.Extensions)) + logOverhead }

func (c *cache) get(index uint64, log *raft.Log) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(c.logs) == 0 || index < c.logs[0].Index || index-c.logs[0].Index >= uint64(len(c.logs)) {
		return false
	}
	*log = *c.logs[index-c.logs[0].Index]
	return true
}

func (c *cache) add(logs []*raft.Log) {
	if c.max <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range logs {
		if n := len(c.logs); n > 0 && l.Index != c.logs[n-1].Index+1 {
			c.logs, c.bytes = nil, 0
		}
		entry := *l // the caller may use its own again
		c.logs = append(c.logs, &entry)
		c.bytes += cost(l)
	}
	drop := 0
	for c.bytes > c.max {
		c.bytes -= cost(c.logs[drop])
		c.logs[drop] = nil
		drop++
	}
	c.logs = c.logs[drop:]
}

// drop forgets everything if any of min to max is here.
func (c *cache) drop(min, max uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.logs); n > 0 && min <= c.logs[n-1].Index && max >= c.logs[0].Index {
		c.logs, c.bytes = nil, 0
	}
}
