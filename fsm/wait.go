package fsm

import (
	"container/heap"
	"context"
)

// Wait returns once the entry with that index is part of the state. It fails
// with the context's error, or Unavailable once the machine has stopped.
func (m *Machine) Wait(ctx context.Context, index uint64) error {
	m.mu.Lock()
	if m.applied.index >= index {
		m.mu.Unlock()
		return nil
	}
	if m.failed != nil {
		m.mu.Unlock()
		return errStopped
	}
	w := &waiter{index: index, done: make(chan bool, 1)}
	heap.Push(&m.waiters, w)
	m.mu.Unlock()
	select {
	case ok := <-w.done:
		if !ok {
			return errStopped
		}
		return nil
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if w.place >= 0 {
		heap.Remove(&m.waiters, w.place)
	}
	return ctx.Err()
}

type waiter struct {
	index uint64
	done  chan bool
	place int // in the heap; -1 once it was told
}

// waiters is a heap: the lowest index first.
type waiters []*waiter

func (w waiters) Len() int           { return len(w) }
func (w waiters) Less(i, j int) bool { return w[i].index < w[j].index }
func (w waiters) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].place, w[j].place = i, j
}

// Push is for container/heap.
func (w *waiters) Push(x any) {
	e := x.(*waiter)
	e.place = len(*w)
	*w = append(*w, e)
}

// Pop is for container/heap.
func (w *waiters) Pop() any {
	last := len(*w) - 1
	e := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	e.place = -1
	return e
}

// reached tells those that wait for index or less.
func (w *waiters) reached(index uint64) {
	for len(*w) > 0 && (*w)[0].index <= index {
		heap.Pop(w).(*waiter).done <- true
	}
}

// end tells all that there is nothing to wait for.
func (w *waiters) end() {
	for len(*w) > 0 {
		heap.Pop(w).(*waiter).done <- false
	}
}
