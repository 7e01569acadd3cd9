package client

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// HandleLease is how long a node keeps a [Handle] that is not renewed: for how
// long after its process has died it is in the node's list.
const HandleLease = time.Minute

// Handle is an open file on a node. It follows the file through renames, and is
// reached through all nodes, but lives on the one that opened it: when that ends,
// or the file or its mount is removed, every call is fs.ErrNotExist.
//
// It is renewed until Close or the end of its context, to which all its calls
// are bound. Its position is kept here, so that a request which had to be sent
// again is done once. It is safe for concurrent use.
type Handle struct {
	c      *Client
	ctx    context.Context // that of OpenHandle: io.ReaderAt has none
	id     int64
	path   string
	append bool

	mu  sync.Mutex // of those who use the position
	pos int64      // bytes

	closed atomic.Bool
	stop   context.CancelFunc
	done   chan struct{} // closed once nothing renews it any more
}

// HandleInfo is what a node knows of a handle.
type HandleInfo struct {
	ID      int64     `json:"handle_id"`
	Path    string    `json:"path"`  // when it was opened
	Flags   int64     `json:"flags"` // of the contract: 1 to write, 2 both, 8 append, 16 create, 32 exclusive, 64 truncate
	Lease   int       `json:"lease"` // seconds
	Expires time.Time `json:"expires_at"`
	Created time.Time `json:"created_at"`
	Last    time.Time `json:"last_access"`
}

// openWords are the flags of package os as the API names them.
var openWords = []struct {
	flag int
	word string
}{{os.O_APPEND, "append"}, {os.O_CREATE, "create"}, {os.O_EXCL, "exclusive"}, {os.O_TRUNC, "truncate"}, {os.O_SYNC, "sync"}}

func openFlags(flag int) string {
	words := []string{"read"}
	switch flag & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR) {
	case os.O_WRONLY:
		words[0] = "write"
	case os.O_RDWR:
		words[0] = "readwrite"
	}
	for _, w := range openWords {
		if flag&w.flag == w.flag {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, ",")
}

// OpenHandle opens a file as os.OpenFile does, with its flags; a file that is
// made has the permission bits of perm.
func (c *Client) OpenHandle(ctx context.Context, path string, flag int, perm fs.FileMode) (*Handle, error) {
	k := newCall("open", http.MethodPost, "/handles/open", path)
	k.query.Set("flags", openFlags(flag&^os.O_TRUNC))
	k.query.Set("mode", strconv.FormatUint(uint64(perm.Perm()), 8))
	k.query.Set("lease", strconv.Itoa(int(HandleLease/time.Second)))
	k.again = flag&os.O_EXCL == 0 // a handle too many ends with its lease
	var i HandleInfo
	if _, err := c.json(ctx, k, &i); err != nil {
		return nil, err
	}
	h := &Handle{c: c, ctx: ctx, id: i.ID, path: path, append: flag&os.O_APPEND != 0, done: make(chan struct{})}
	rctx, stop := context.WithCancel(ctx)
	h.stop = stop
	go h.keep(rctx)
	// A request to open has no key: one that comes late would cut what was written since.
	if flag&os.O_TRUNC != 0 && flag&os.O_EXCL == 0 && flag&(os.O_WRONLY|os.O_RDWR|os.O_APPEND) != 0 {
		if err := h.Truncate(0); err != nil {
			_ = h.Close() // or its lease runs out
			return nil, err
		}
	}
	return h, nil
}

// keep renews the handle until ctx ends or the handle has.
func (h *Handle) keep(ctx context.Context) {
	defer close(h.done)
	tick := time.NewTicker(HandleLease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := h.renew(ctx, HandleLease); errors.Is(err, fs.ErrNotExist) {
			return // the next call says so
		}
	}
}

// call is a request about the handle; op "" is the handle itself.
func (h *Handle) call(verb, method, op string) call {
	route := "/handles/" + strconv.FormatInt(h.id, 10)
	if op != "" {
		route += "/" + op
	}
	k := call{verb: verb, path: h.path, method: method, route: route, query: url.Values{}, header: http.Header{}}
	k.again = true
	return k
}

// change is a request that is repeated under its key alone: a try that comes late
// would undo what was done after it.
func (h *Handle) change(verb, method string) call {
	k := h.call(verb, method, verb).keyed()
	k.again = false
	return k
}

// open reports fs.ErrClosed after Close.
func (h *Handle) open(verb string) error {
	if h.closed.Load() {
		return &fs.PathError{Op: verb, Path: h.path, Err: fs.ErrClosed}
	}
	return nil
}

// ID returns the handle's number; other clients know it by that.
func (h *Handle) ID() int64 { return h.id }

// Name returns the path that was opened.
func (h *Handle) Name() string { return h.path }

// Info returns what the node knows of the handle.
func (h *Handle) Info() (i HandleInfo, err error) {
	if err = h.open("stat"); err == nil {
		_, err = h.c.json(h.ctx, h.call("stat", http.MethodGet, ""), &i)
	}
	return i, err
}

// Stat describes the file as it is now, under its present name.
func (h *Handle) Stat() (i Info, err error) {
	if err = h.open("stat"); err == nil {
		_, err = h.c.json(h.ctx, h.call("stat", http.MethodGet, "stat"), &i)
	}
	return i, err
}

// Sync returns once what was written is durable, as it is when a write returns.
func (h *Handle) Sync() error {
	if err := h.open("sync"); err != nil {
		return err
	}
	_, err := h.c.do(h.ctx, h.call("sync", http.MethodPost, "sync"))
	return err
}

// Truncate cuts or grows the file to size bytes; the position stays.
func (h *Handle) Truncate(size int64) error {
	if err := h.open("truncate"); err != nil {
		return err
	}
	k := h.change("truncate", http.MethodPost)
	k.query.Set("size", strconv.FormatInt(size, 10))
	_, err := h.c.do(h.ctx, k)
	return err
}

// Renew lets the lease run out no sooner than d from now: whole seconds, one to
// five minutes. That it is renewed every third of [HandleLease] needs no call.
func (h *Handle) Renew(d time.Duration) (HandleInfo, error) {
	if err := h.open("renew"); err != nil {
		return HandleInfo{}, err
	}
	return h.renew(h.ctx, d)
}

func (h *Handle) renew(ctx context.Context, d time.Duration) (i HandleInfo, err error) {
	k := h.call("renew", http.MethodPost, "renew")
	k.query.Set("lease", strconv.FormatInt(int64(d/time.Second), 10))
	_, err = h.c.json(ctx, k, &i)
	return i, err
}

// Close ends the handle. What is written stays. Closing again is fs.ErrClosed.
func (h *Handle) Close() error {
	if h.closed.Swap(true) {
		return &fs.PathError{Op: "close", Path: h.path, Err: fs.ErrClosed}
	}
	h.stop()
	<-h.done
	// The end of the context is no reason to leave it open on the node.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), closeTime)
	defer cancel()
	_, err := h.c.do(ctx, h.call("close", http.MethodDelete, ""))
	if errors.Is(err, vfs.NotFound) {
		return nil // it ended by itself, or the answer to the first try was lost
	}
	return err
}

// closeTime is how long what gives something back may take.
const closeTime = 10 * time.Second

// Handles returns the open handles of the node that is asked.
func (c *Client) Handles(ctx context.Context) ([]HandleInfo, error) {
	var out struct {
		Handles []HandleInfo `json:"handles"`
	}
	_, err := c.json(ctx, ask("handles", "/handles"), &out)
	return out.Handles, err
}
