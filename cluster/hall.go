package cluster

import (
	"net"
	"slices"
	"sync"
)

// hall holds the accepted streams and bounds them: those that have not greeted
// yet, those of strangers, of each node, and all. No stranger keeps a node out
// by waiting: of too many, one goes that comes from where most come from.
type hall struct {
	mu        sync.Mutex
	all       map[*visitor]struct{}
	waiting   []*visitor // oldest first
	strangers []*visitor // oldest first
	of        map[string]int
}

// visitor is one accepted stream.
type visitor struct {
	net.Conn
	host   string // that it comes from
	node   string // that it is counted for; "" if it is a stranger's
	spoke  bool   // it has sent what a node sends first
	pushed bool   // it was closed to make room
}

// enter lets a stream in as one that has yet to greet; false if all is full.
func (h *hall) enter(v *visitor) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all, h.of = map[*visitor]struct{}{}, map[string]int{}
	}
	if len(h.all) >= maxStreams {
		return false
	}
	if len(h.waiting) >= maxPending {
		h.waiting = h.push(h.waiting, h.crowd())
	}
	h.waiting = append(h.waiting, v)
	h.all[v] = struct{}{}
	return true
}

// crowd finds who goes of those that wait: of the host with the most of them,
// the oldest that has not begun to greet, or else the oldest.
func (h *hall) crowd() int {
	count, most := map[string]int{}, ""
	for _, v := range h.waiting {
		if count[v.host]++; count[v.host] > count[most] {
			most = v.host
		}
	}
	for _, silent := range []bool{true, false} {
		if i := slices.IndexFunc(h.waiting, func(v *visitor) bool { return v.host == most && v.spoke != silent }); i >= 0 {
			return i
		}
	}
	return 0
}

// push closes one of a list, whose handler then ends, and takes it out.
func (h *hall) push(list []*visitor, i int) []*visitor {
	list[i].pushed = true
	_ = list[i].Close() // its handler reports
	return slices.Delete(list, i, i+1)
}

// heard notes that a stream has begun to greet.
func (h *hall) heard(v *visitor) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v.spoke = true
}

func (h *hall) crowded(v *visitor) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return v.pushed
}

// seat gives a stream that has greeted its place: that of a node, or of a
// stranger. It is false if the node has too many.
func (h *hall) seat(v *visitor, node string, known bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = without(h.waiting, v)
	if !known {
		if len(h.strangers) >= maxStrangers {
			h.strangers = h.push(h.strangers, 0)
		}
		h.strangers = append(h.strangers, v)
		return true
	}
	if h.of[node] >= maxOfNode {
		return false
	}
	h.of[node]++
	v.node = node
	return true
}

func without(list []*visitor, v *visitor) []*visitor {
	return slices.DeleteFunc(list, func(o *visitor) bool { return o == v })
}

// leave closes a stream and forgets it.
func (h *hall) leave(v *visitor) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, v)
	h.waiting, h.strangers = without(h.waiting, v), without(h.strangers, v)
	if v.node != "" {
		if h.of[v.node]--; h.of[v.node] == 0 {
			delete(h.of, v.node)
		}
	}
	_ = v.Close() // done with it, whatever state it is in
}

// clear closes every stream; their handlers end.
func (h *hall) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for v := range h.all {
		_ = v.Close() // its handler reports
	}
}
