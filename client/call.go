package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// call is one request before it is sent.
type call struct {
	verb, path string // for errors
	method     string
	route      string // below /api/v1
	query      url.Values
	header     http.Header
	body       func() (*upload, error) // nil: none; called for each try
	once       bool                    // the body cannot be read again
	ownKey     bool                    // the idempotency key is ours, not the caller's
	stream     bool                    // the caller reads the answer's body
	slow       bool                    // the answer may take any time to begin
	again      bool                    // it changes something, but doing it twice is as once
	asks       bool                    // it changes nothing, whatever its method
}

func newCall(verb, method, route, path string) call {
	return call{verb: verb, path: path, method: method, route: route,
		query: url.Values{"path": {path}}, header: http.Header{}}
}

const keyHeader = "Idempotency-Key"

type headerKey struct{}

type freshKey struct{}

type indexKey struct{}

// WithFresh makes the reads under the context linearizable.
func WithFresh(ctx context.Context) context.Context { return context.WithValue(ctx, freshKey{}, true) }

// WithMinIndex makes the reads under the context see at least what was written
// at a raft index, as of [Written] or [Client.LastIndex] of another process.
func WithMinIndex(ctx context.Context, index uint64) context.Context {
	return context.WithValue(ctx, indexKey{}, index)
}

// LastIndex returns the highest raft index of a write of this Client, 0 before
// the first. Reads of this Client see it already, on any of its nodes.
func (c *Client) LastIndex() uint64 { return c.wrote.Load() }

// WithHeader makes h go along with the requests made under the context.
func WithHeader(ctx context.Context, h http.Header) context.Context {
	return context.WithValue(ctx, headerKey{}, h)
}

// keyed makes a call repeatable under a key of its own.
func (k call) keyed() call {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	k.header.Set(keyHeader, hex.EncodeToString(b[:]))
	k.ownKey = true
	return k
}

// safe reports whether the call changes nothing. A read that takes something
// away is not told apart; it carries a key instead.
func (k *call) safe() bool {
	return k.asks || k.method == http.MethodGet || k.method == http.MethodHead
}

func (k *call) repeatable() bool {
	return k.safe() || k.again || !k.once && k.header.Get(keyHeader) != ""
}

// unsent reports whether the try that failed left no trace: without a connection
// nothing is read of a body either.
func unsent(err error) bool {
	var u *Unreachable
	return errors.As(err, &u) && u.Refused()
}

// level says in the query how new the answer to a read must be.
func (c *Client) level(ctx context.Context, k *call, nodes int) {
	if !k.safe() || k.query == nil {
		return
	}
	at, _ := ctx.Value(indexKey{}).(uint64)
	if nodes > 1 {
		at = max(at, c.wrote.Load()) // another node may be behind
	}
	if at > 0 {
		k.query.Set("min_index", strconv.FormatUint(at, 10))
	}
	if ctx.Value(freshKey{}) != nil {
		k.query.Set("consistency", "linearizable")
	}
}

// withJSON gives the call a body.
func (k call) withJSON(v any) call {
	b, err := json.Marshal(v)
	k.body = func() (*upload, error) { return &upload{r: bytes.NewReader(b), size: int64(len(b))}, err }
	return k
}

// answer is a success. Its body was read to data, unless the call streams.
type answer struct {
	header http.Header
	data   []byte
	body   io.ReadCloser
}

// do sends the call, again where that is right and may help, and returns an
// answer of status 2xx. Any other answer is an error.
func (c *Client) do(ctx context.Context, k call) (*answer, error) {
	c.look(ctx)
	nodes := c.nodes()
	c.level(ctx, &k, len(nodes))
	unsure := false
	waits := waits{next: c.backoff, until: make([]time.Time, len(nodes))}
	for try := 1; ; try++ {
		node := c.current.Load()
		a, err := c.send(ctx, &k, nodes[int(node)%len(nodes)])
		if err == nil {
			return a, nil
		}
		unsure = unsure || errors.Is(err, ErrUnknown)
		if k.dropKey(err) {
			try = 0 // from now on it is only repeated if it is safe
			continue
		}
		if unsure && temporary(err) && !errors.Is(err, ErrUnknown) {
			err = unsettled{err}
		}
		if temporary(err) {
			c.turn(node) // the next call, too, asks another one
		}
		if try > c.retries || !temporary(err) || !k.repeatable() && !unsent(err) || ctx.Err() != nil || c.hopeless(err, try) {
			return nil, &fs.PathError{Op: k.verb, Path: k.path, Err: err}
		}
		if serr := sleep(ctx, waits.after(err, try, int(node)%len(nodes))); serr != nil {
			return nil, &fs.PathError{Op: k.verb, Path: k.path, Err: &timeUp{serr, err}}
		}
	}
}

// hopeless reports whether waiting for a node is out of place.
func (c *Client) hopeless(err error, try int) bool {
	return c.noWait && try >= len(c.nodes()) && !c.answered.Load() && unsent(err)
}

// dropKey takes our key off a call that was refused with 501: mounts outside
// the log keep none. Nothing was done, so it can be sent again.
func (k *call) dropKey(err error) bool {
	var e *Error
	if !k.ownKey || !errors.As(err, &e) || e.Status != http.StatusNotImplemented {
		return false
	}
	k.header = maps.Clone(k.header)
	k.header.Del(keyHeader)
	k.ownKey = false
	return true
}

// timeUp is the end of the caller's patience between two tries.
type timeUp struct{ why, last error }

// Error tells what was waited for.
func (t *timeUp) Error() string { return t.why.Error() + " while waiting after: " + t.last.Error() }

// Unwrap returns both.
func (t *timeUp) Unwrap() []error { return []error{t.why, t.last} }

// waits paces the tries of one call.
type waits struct {
	next  time.Duration
	until []time.Time // by node: it asked not to be asked before
}

// after returns how long to wait after a try at node failed. The next node is
// asked at once where this one took no connection.
func (w *waits) after(err error, try, node int) time.Duration {
	n := len(w.until)
	if unsent(err) && try%n != 0 {
		return 0
	}
	var e *Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		w.until[node] = time.Now().Add(e.RetryAfter)
	}
	d := w.next/2 + mathrand.N(w.next/2+1)
	w.next = min(2*w.next, 2*time.Second)
	return max(d, time.Until(w.until[(node+1)%n]))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// send does one try.
func (c *Client) send(ctx context.Context, k *call, base string) (*answer, error) {
	req, up, err := c.request(ctx, k, base)
	if err != nil {
		return nil, err
	}
	h := c.http
	if k.slow {
		h = c.slow
	}
	resp, err := h.Do(req)
	if up != nil {
		if serr := up.stop(); serr != nil && err != nil {
			return nil, serr // the request failed because its source did
		}
	}
	if err != nil {
		return nil, k.unreachable(ctx, base, err)
	}
	c.answered.Store(true)
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		e := readError(resp)
		if e.Code == "" && !k.safe() && (e.Status == 500 || e.Status == 502 || e.Status == 504) {
			e.Outcome = "unknown" // a proxy does not know what became of it
		}
		return nil, e
	}
	if n, err := strconv.ParseUint(resp.Header.Get("X-Pfs-Index"), 10, 64); err == nil && !k.safe() {
		raise(&c.wrote, n)
	}
	a := &answer{header: resp.Header}
	if k.stream {
		a.body = &download{resp.Body, resp.ContentLength, k.verb, k.path}
		return a, nil
	}
	defer resp.Body.Close()
	if a.data, err = io.ReadAll(resp.Body); err != nil {
		return nil, k.unreachable(ctx, base, err)
	}
	return a, nil
}

func (c *Client) request(ctx context.Context, k *call, base string) (*http.Request, *upload, error) {
	u := base + "/api/v1" + k.route
	if len(k.query) > 0 {
		u += "?" + k.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, k.method, u, nil)
	if err != nil {
		return nil, nil, err
	}
	c.headers(ctx, req)
	maps.Copy(req.Header, k.header)
	if k.body == nil {
		return req, nil, nil
	}
	up, err := k.body()
	if err != nil {
		return nil, nil, err
	}
	if k.once {
		up.detach(ctx)
	}
	req.Body, req.ContentLength = up, up.size
	if up.size == 0 {
		req.Body = http.NoBody
	}
	return req, up, nil
}

// headers sets those that go along with every request, the token among them.
func (c *Client) headers(ctx context.Context, req *http.Request) {
	maps.Copy(req.Header, c.header)
	if h, ok := ctx.Value(headerKey{}).(http.Header); ok {
		maps.Copy(req.Header, h)
	}
}

func (k *call) unreachable(ctx context.Context, base string, err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // method and URL are known
	}
	if cerr := ctx.Err(); cerr != nil && !errors.Is(err, cerr) {
		err = fmt.Errorf("%w: %w", cerr, err) // what followed from the end of ctx came first
	}
	u := &Unreachable{URL: base, Err: err}
	u.unsure = !k.safe() && !u.Refused()
	return u
}

// json sends a call and decodes the answer into out, unless out is nil.
func (c *Client) json(ctx context.Context, k call, out any) (http.Header, error) {
	a, err := c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	if out != nil {
		if err := json.Unmarshal(a.data, out); err != nil {
			return nil, &fs.PathError{Op: k.verb, Path: k.path, Err: err}
		}
	}
	return a.header, nil
}
