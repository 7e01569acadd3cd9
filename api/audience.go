package api

import (
	"strconv"
	"sync"

	"github.com/pfs-project/pfs/vfs"
)

// heard names a stream.
type heard struct{ mount, file uint64 }

// audience counts the readers of streams on this node.
type audience struct {
	mu  sync.Mutex
	all int
	of  map[heard]int // those whose stream is there
}

// enter lets a reader in, unless there are most already.
func (a *audience) enter(most int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all >= most {
		return vfs.Throttled.Withf("%d readers follow streams already", a.all)
	}
	a.all++
	return nil
}

// listens counts a reader to a stream that is there.
func (a *audience) listens(to heard) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.of == nil {
		a.of = map[heard]int{}
	}
	a.of[to]++
}

// leave lets a reader go; its stream may never have been there.
func (a *audience) leave(to heard) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all--
	if to.file == 0 {
		return
	}
	if a.of[to]--; a.of[to] == 0 {
		delete(a.of, to)
	}
}

// count adds to the description of a stream how many follow it on this node.
func (a *audience) count(to heard, i *info) {
	if i.Meta.Content["total_written"] == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	i.Meta.Content["active_readers"] = strconv.Itoa(a.of[to])
}
