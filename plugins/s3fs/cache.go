package s3fs

import (
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

const (
	filesPerListing = 5       // as many more files than listings are kept
	maxNames        = 100_000 // in all listings that are kept
)

// cache keeps what was seen, for a time and up to a number. What changes
// through this node is forgotten at once.
type cache struct {
	set settings
	now func() time.Time

	mu    sync.Mutex
	turns uint64 // changes made through this node
	stats map[vfs.Path]seen[entry]
	lists map[listKey]seen[[]vfs.Info]
	names int // in lists
	tags  map[uint64]string
}

type seen[T any] struct {
	what  T
	until time.Time
}

type listKey struct {
	dir   vfs.Path
	after string
	limit int
}

func newCache(set settings) *cache {
	return &cache{set: set, now: time.Now, stats: map[vfs.Path]seen[entry]{},
		lists: map[listKey]seen[[]vfs.Info]{}, tags: map[uint64]string{}}
}

// turn is to be asked for before the server is; what comes with an old one is
// not kept, since it may be from before a change.
func (c *cache) turn() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.turns
}

// stat returns what is known to be at p.
func (c *cache) stat(p vfs.Path) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.stats[p]
	return s.what, ok && c.now().Before(s.until)
}

// keep notes what is at p.
func (c *cache) keep(turn uint64, p vfs.Path, e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.etag != "" {
		room(c.tags, e.Version, c.set.cacheSize)
		c.tags[e.Version] = e.etag // true for ever, and so kept in any case
	}
	if !c.set.cache || turn != c.turns {
		return
	}
	room(c.stats, p, filesPerListing*c.set.cacheSize)
	c.stats[p] = seen[entry]{e, c.now().Add(c.set.statTTL)}
}

// room makes room for one more key in m, which holds up to most.
func room[K comparable, V any](m map[K]V, k K, most int) {
	if _, ok := m[k]; ok || len(m) < most {
		return
	}
	for old := range m {
		delete(m, old)
		return
	}
}

// etag returns the ETag that a version stands for, if it was seen lately.
func (c *cache) etag(version uint64) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tag, ok := c.tags[version]
	return tag, ok
}

// list returns what is known of a directory.
func (c *cache) list(dir vfs.Path, after string, limit int) ([]vfs.Info, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.lists[listKey{dir, after, limit}]
	return s.what, ok && c.now().Before(s.until)
}

// keepList notes a part of a directory.
func (c *cache) keepList(turn uint64, dir vfs.Path, after string, limit int, infos []vfs.Info) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.set.cache || turn != c.turns || len(infos) > maxNames {
		return
	}
	k := listKey{dir, after, limit}
	c.drop(k)
	for old := range c.lists {
		if len(c.lists) < c.set.cacheSize && c.names+len(infos) <= maxNames {
			break
		}
		c.drop(old)
	}
	c.lists[k] = seen[[]vfs.Info]{infos, c.now().Add(c.set.listTTL)}
	c.names += len(infos)
}

// drop forgets a listing. The caller holds mu.
func (c *cache) drop(k listKey) {
	c.names -= len(c.lists[k].what)
	delete(c.lists, k)
}

// changed forgets all that a change at these paths may show in: what is there,
// below, and in the directories above, which it may have made or ended.
func (c *cache) changed(paths ...vfs.Path) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns++
	for _, p := range paths {
		for q := range c.stats {
			if q.Under(p) || p.Under(q) {
				delete(c.stats, q)
			}
		}
		for k := range c.lists {
			if k.dir.Under(p) || p.Under(k.dir) {
				c.drop(k)
			}
		}
	}
}
