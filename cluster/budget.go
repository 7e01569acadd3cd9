package cluster

import (
	"context"
	"sync"
)

// budget bounds what something holds, mostly bytes of memory. Who waits is served
// in order of arrival.
type budget struct {
	mu      sync.Mutex
	free    int64
	size    int64
	waiters []*claim
}

type claim struct {
	n     int64
	ready chan struct{}
}

func newBudget(size int64) *budget { return &budget{free: size, size: size} }

// take waits for n bytes, or all there are if that is less.
func (b *budget) take(ctx context.Context, n int64) error {
	if b.takeNow(n) {
		return nil
	}
	return b.takeLater(ctx, n)
}

// takeNow is take that does not wait; false if it would have to.
func (b *budget) takeNow(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.takeFree(n)
}

// takeFree is takeNow of who holds mu.
func (b *budget) takeFree(n int64) bool {
	n = min(n, b.size)
	if len(b.waiters) > 0 || b.free < n {
		return false
	}
	b.free -= n
	return true
}

func (b *budget) takeLater(ctx context.Context, n int64) error {
	b.mu.Lock()
	if b.takeFree(n) {
		b.mu.Unlock()
		return nil
	}
	c := &claim{min(n, b.size), make(chan struct{})}
	b.waiters = append(b.waiters, c)
	b.mu.Unlock()
	select {
	case <-c.ready:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range b.waiters {
		if w == c {
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			b.serve()
			return ctx.Err()
		}
	}
	b.free += c.n // it was served meanwhile
	b.serve()
	return ctx.Err()
}

// give returns n bytes that were taken.
func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += min(n, b.size)
	b.serve()
}

func (b *budget) serve() {
	for len(b.waiters) > 0 && b.waiters[0].n <= b.free {
		b.free -= b.waiters[0].n
		close(b.waiters[0].ready)
		b.waiters = b.waiters[1:]
	}
}

// short reports whether somebody waits.
func (b *budget) short() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiters) > 0
}

// used returns the bytes that are taken.
func (b *budget) used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size - b.free
}
