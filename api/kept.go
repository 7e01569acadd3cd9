package api

import (
	"maps"
	"sync"
	"sync/atomic"
)

// kept remembers what was found for a key, to be looked up without a lock. It is for
// few keys: a new one copies them all.
type kept[K comparable, V any] struct {
	mu  sync.Mutex // of those who change it
	all atomic.Pointer[map[K]V]
}

func (m *kept[K, V]) look(k K) (v V, ok bool) {
	if all := m.all.Load(); all != nil {
		v, ok = (*all)[k]
	}
	return v, ok
}

func (m *kept[K, V]) add(k K, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[K]V{k: v}
	if old := m.all.Load(); old != nil {
		maps.Copy(all, *old)
		all[k] = v
	}
	m.all.Store(&all)
}

// forget drops all of it.
func (m *kept[K, V]) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all.Store(nil)
}
