package proxyfs

import (
	"bytes"
	"container/list"
	"io"
	"sync"

	"github.com/pfs-project/pfs/vfs"
)

// cachePart is what part of the cache one file may take.
const cachePart = 8

// cache keeps the content of files that were read whole, by the version that the
// server told of them: who asks for another one does not find it.
type cache struct {
	most int64 // bytes, with what is being read; 0: nothing is kept

	mu    sync.Mutex
	turn  uint64     // servers that were taken into use
	held  int64      // bytes
	order *list.List // of *kept, the last used first
	files map[vfs.Path]*list.Element
}

type kept struct {
	path    vfs.Path
	version uint64
	data    []byte
}

func newCache(most int64) *cache {
	return &cache{most: most, order: list.New(), files: map[vfs.Path]*list.Element{}}
}

// get returns the content of one version of a file.
func (c *cache) get(p vfs.Path, version uint64) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.files[p]
	if e == nil || e.Value.(*kept).version != version {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*kept).data, true
}

// now is to be asked for before the server is.
func (c *cache) now() (turn uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.turn
}

// clear forgets everything: another server has other versions.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	for e := c.order.Front(); e != nil; e = c.order.Front() {
		c.drop(e)
	}
}

// drop forgets a file. The caller holds mu.
func (c *cache) drop(e *list.Element) {
	k := c.order.Remove(e).(*kept)
	delete(c.files, k.path)
	c.held -= int64(len(k.data))
}

// fill returns r so that what is read of it is kept once it is all there, if its
// length is known and there is room.
func (c *cache) fill(r io.ReadCloser, turn uint64, p vfs.Path, version uint64) io.ReadCloser {
	s, ok := r.(interface{ Size() int64 })
	if !ok || s.Size() <= 0 || s.Size() > c.most/cachePart {
		return r
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.held+s.Size() > c.most {
		if c.order.Len() == 0 {
			return r // others that are being read have it all
		}
		c.drop(c.order.Back())
	}
	c.held += s.Size()
	return &filling{ReadCloser: r, c: c, turn: turn, size: s.Size(), k: &kept{path: p, version: version}}
}

// filling is a file on its way through.
type filling struct {
	io.ReadCloser
	c    *cache
	turn uint64
	size int64 // bytes that it has of the cache, until it is over
	over bool
	k    *kept
}

// Read reads on.
func (f *filling) Read(b []byte) (int, error) {
	n, err := f.ReadCloser.Read(b)
	if f.over {
		return n, err
	}
	f.k.data = append(f.k.data, b[:n]...)
	if int64(len(f.k.data)) == f.size {
		f.end(true)
	}
	return n, err
}

// Close gives up what is not all there.
func (f *filling) Close() error {
	f.end(false)
	return f.ReadCloser.Close()
}

func (f *filling) end(whole bool) {
	if f.over {
		return
	}
	f.over = true
	c := f.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held -= f.size
	if !whole || f.turn != c.turn {
		return
	}
	if e := c.files[f.k.path]; e != nil {
		c.drop(e)
	}
	f.k.data = bytes.Clone(f.k.data) // of just its length
	c.held += f.size
	c.files[f.k.path] = c.order.PushFront(f.k)
}
