package api

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
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

// opening is what a request to open asks for.
type opening struct {
	access              access
	create, excl, trunc bool
	flags               int64
	mode                vfs.Mode
	lease               time.Duration
}

// openNames are the flags of an opening as words.
var openNames = map[string]func(*opening){
	"read":      func(o *opening) { o.access |= readable },
	"readonly":  func(o *opening) { o.access |= readable },
	"write":     func(o *opening) { o.access |= writable },
	"writeonly": func(o *opening) { o.access |= writable },
	"readwrite": func(o *opening) { o.access |= readable | writable },
	"append":    func(o *opening) { o.access |= appends },
	"create":    func(o *opening) { o.create = true },
	"exclusive": func(o *opening) { o.excl = true },
	"truncate":  func(o *opening) { o.trunc = true },
	"sync":      func(*opening) {},
}

// opening reads the query of a request to open. Flags come as words, in the
// numbers of the contract, or in those of Linux.
func (c *call) opening() (o opening, err error) {
	v, _ := c.query.get("flags")
	n, nerr := strconv.ParseInt(v, 10, 64)
	_, leased := c.query.get("lease")
	switch {
	case v == "":
		o.access = readable
	case nerr == nil && n >= 0:
		o.flags = n
		err = o.numbers(n, !leased && linuxFlags(n, c.header("User-Agent")))
	default:
		err = o.words(v)
	}
	if err != nil {
		return o, err
	}
	if o.mode, err = c.openMode(leased); err != nil {
		return o, err
	}
	o.lease, err = c.lease(leaseDefault)
	return o, err
}

// linuxFlags tells the two numberings apart. Bits from 128 up exist on Linux
// only, 8 to 32 in the contract only. 64 creates on Linux and truncates in the
// contract; the Go clients that send Linux flags are known by their name.
func linuxFlags(n int64, agent string) bool {
	switch {
	case n >= 128:
		return true
	case n&(8|16|32) != 0:
		return false
	}
	return n&64 != 0 && strings.HasPrefix(agent, "Go-http-client/")
}

func (o *opening) numbers(n int64, linux bool) error {
	switch n & 3 {
	case 0:
		o.access = readable
	case 1:
		o.access = writable
	case 2:
		o.access = readable | writable
	default:
		return vfs.Invalid.With("invalid flags parameter: no such access mode")
	}
	bits := struct{ appends, create, excl, trunc int64 }{8, 16, 32, 64}
	if linux {
		bits = struct{ appends, create, excl, trunc int64 }{1024, 64, 128, 512}
	}
	if n&bits.appends != 0 {
		o.access |= appends
	}
	o.create, o.excl, o.trunc = n&bits.create != 0, n&bits.excl != 0, n&bits.trunc != 0
	return nil
}

func (o *opening) words(v string) error {
	for w := range strings.SplitSeq(v, ",") {
		set, ok := openNames[w]
		if !ok {
			return vfs.Invalid.With("invalid flags parameter: must be a number")
		}
		set(o)
	}
	if o.access&appends != 0 {
		o.access |= writable
	}
	if o.access&(readable|writable) == 0 {
		o.access |= readable
	}
	// In the answer they are numbers of the contract.
	for _, f := range []struct {
		on  bool
		bit int64
	}{{o.access&(readable|writable) == writable, 1}, {o.access&(readable|writable) == readable|writable, 2},
		{o.access&appends != 0, 8}, {o.create, 16}, {o.excl, 32}, {o.trunc, 64}} {
		if f.on {
			o.flags |= f.bit
		}
	}
	return nil
}

// openMode returns the mode of a file to create: octal, but for the one client
// that is known to send the decimal number.
func (c *call) openMode(leased bool) (vfs.Mode, error) {
	v, _ := c.query.get("mode")
	if leased && strings.HasPrefix(c.header("User-Agent"), "python-") && !strings.HasPrefix(v, "0") {
		if n, err := strconv.ParseUint(v, 10, 32); err == nil && n <= 0o177777 {
			return vfs.Mode(n) & vfs.ModePerm, nil
		}
	}
	return c.octal("mode", 0o644, "invalid mode parameter")
}

// lease returns the parameter in seconds, 1 to 300.
func (c *call) lease(def int64) (time.Duration, error) {
	n, err := c.integer("lease", def, "invalid lease parameter: must be a number of seconds")
	if err == nil && (n < 1 || n > leaseMax) && n != def {
		err = vfs.Invalid.Withf("invalid lease parameter: must be 1 to %d seconds", leaseMax)
	}
	return time.Duration(n) * time.Second, err
}
