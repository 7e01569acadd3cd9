package api

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// A handle's id has the number of its node in the bits from here up.
const handleBits = 40

// Leases of handles.
const (
	leaseDefault = 60 // seconds
	leaseMax     = 300
)

// access is what a handle may be used for.
type access uint8

const (
	readable access = 1 << iota
	writable
	appends
)

// handle is an open file of this node: a lease. It names the file by its id
// where it has one, and so follows it through renames.
type handle struct {
	id      int64
	path    vfs.Path // when it was opened, without links
	mount   uint64
	file    uint64 // 0: named by path
	access  access
	flags   int64 // as the client gave them
	created time.Time

	// under handles.mu
	lease   time.Duration
	last    time.Time
	expires time.Time

	mu    sync.Mutex  // one use at a time
	pos   int64       // bytes
	taken *vfs.Result // what the first read of a consuming file took
	once  string      // the idempotency key under which it takes; "" before the first read
	lost  error       // it may have taken something that nobody can tell any more
	// A write that is repeated under its key goes where it went.
	lastKey string
	lastOff int64
}

// handles holds the open handles of this node.
type handles struct {
	mu    sync.Mutex
	max   int
	next  int64
	open  map[int64]*handle
	swept time.Time
}

// newHandles starts counting at a random number, so that an id from before a
// restart does not name another file.
func newHandles(max int) *handles {
	return &handles{max: max, open: map[int64]*handle{}, next: rand.Int64N(1 << (handleBits - 1))}
}

func (t *handles) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(time.Now())
	return len(t.open)
}

// sweep ends leases that have run out; at most once a second.
func (t *handles) sweep(now time.Time) {
	if now.Sub(t.swept) < time.Second {
		return
	}
	t.swept = now
	for id, h := range t.open {
		if now.After(h.expires) {
			delete(t.open, id)
		}
	}
}

// add gives h an id and a lease; Throttled when there are too many.
func (t *handles) add(h *handle, number uint16) error {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(now)
	if len(t.open) >= t.max {
		return vfs.Throttled.Withf("too many open handles (%d)", t.max)
	}
	t.next = (t.next + 1) & (1<<handleBits - 1)
	h.id = int64(number)<<handleBits | t.next
	h.created, h.last, h.expires = now, now, now.Add(h.lease)
	t.open[h.id] = h
	return nil
}

// use returns the handle with an id and renews its lease, for the given time
// if it is not 0.
func (t *handles) use(id int64, lease time.Duration) (*handle, error) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(now)
	h := t.open[id]
	if h == nil || now.After(h.expires) {
		delete(t.open, id)
		return nil, vfs.NotFound
	}
	if lease > 0 {
		h.lease = lease
	}
	h.last, h.expires = now, now.Add(h.lease)
	return h, nil
}

// close ends a handle; NotFound if there is none.
func (t *handles) close(id int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.open[id]; !ok {
		return vfs.NotFound
	}
	delete(t.open, id)
	return nil
}

// drop ends all handles of a mount.
func (t *handles) drop(mount uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, h := range t.open {
		if h.mount == mount {
			delete(t.open, id)
		}
	}
}

// handleInfo is a handle as clients see it, under both names of its id.
type handleInfo struct {
	HandleID int64    `json:"handle_id"`
	ID       int64    `json:"id"`
	Path     vfs.Path `json:"path"`
	Flags    int64    `json:"flags"`
	Lease    int64    `json:"lease"` // seconds
	Expires  string   `json:"expires_at"`
	Created  string   `json:"created_at,omitempty"`
	Last     string   `json:"last_access,omitempty"`
}

func (t *handles) info(h *handle, whole bool) handleInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	stamp := func(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }
	i := handleInfo{HandleID: h.id, ID: h.id, Path: h.path, Flags: h.flags,
		Lease: int64(h.lease / time.Second), Expires: stamp(h.expires)}
	if whole {
		i.Created, i.Last = stamp(h.created), stamp(h.last)
	}
	return i
}

// list returns the live handles by id.
func (t *handles) list() []*handle {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	out := []*handle{}
	for _, h := range t.open {
		if !now.After(h.expires) {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b *handle) int { return int(a.id - b.id) })
	return out
}

// where returns the present path of the handle's file; NotFound once it or its
// mount is gone.
func (h *handle) where(img *fsm.Image) (vfs.Path, error) {
	if _, ok := img.Table.Mount(h.mount); !ok {
		return "", vfs.NotFound
	}
	if h.file == 0 {
		return h.path, nil
	}
	p, ok := img.Table.PathOf(img.View, h.mount, h.file)
	if !ok {
		return "", vfs.At(vfs.NotFound, "open", h.path)
	}
	return p, nil
}
