package sqlfs

import (
	"container/list"
	"sync"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

const (
	// mostCached is how long a listing may be to be kept.
	mostCached = 1000
	// mostInfos bounds what all listings hold together.
	mostInfos = 100_000
)

// cache keeps the listings that were asked for last. A nil one keeps nothing.
type cache struct {
	size int
	ttl  time.Duration

	mu      sync.Mutex
	infos   int
	changes uint64 // one more with each change of the tree
	at      map[vfs.Path]*list.Element
	order   *list.List // of listing; the newest in front
}

type listing struct {
	path  vfs.Path
	infos []vfs.Info
	until time.Time
}

// newCache makes a cache of so many listings; 0 for none.
func newCache(size int, ttl time.Duration) *cache {
	if size == 0 || ttl == 0 {
		return nil
	}
	return &cache{size: size, ttl: ttl, changes: 1, at: map[vfs.Path]*list.Element{}, order: list.New()}
}

func (c *cache) get(p vfs.Path) ([]vfs.Info, bool) {
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.at[p]
	if e == nil {
		return nil, false
	}
	l := e.Value.(listing)
	if time.Now().After(l.until) {
		c.drop(e)
		return nil, false
	}
	c.order.MoveToFront(e)
	return l.infos, true
}

// now returns the number of changes; 0 without a cache.
func (c *cache) now() uint64 {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes
}

// put keeps a listing that was read after so many changes, if no other came
// meanwhile.
func (c *cache) put(p vfs.Path, infos []vfs.Info, changes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes != changes {
		return
	}
	if e := c.at[p]; e != nil {
		c.drop(e)
	}
	c.at[p] = c.order.PushFront(listing{p, infos, time.Now().Add(c.ttl)})
	c.infos += len(infos)
	for c.order.Len() > c.size || c.infos > mostInfos {
		c.drop(c.order.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	l := c.order.Remove(e).(listing)
	delete(c.at, l.path)
	c.infos -= len(l.infos)
}

// changed forgets the listings of directories; all of them if none is named.
func (c *cache) changed(dirs ...vfs.Path) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	for _, d := range dirs {
		if e := c.at[d]; e != nil {
			c.drop(e)
		}
	}
	for len(dirs) == 0 && c.order.Len() > 0 {
		c.drop(c.order.Back())
	}
}

// cut returns what comes after a name, at most limit (0: all).
func cut(all []vfs.Info, after string, limit int) []vfs.Info {
	return append([]vfs.Info{}, vfs.Page(all, after, limit)...)
}
