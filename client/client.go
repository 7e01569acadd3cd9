package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// DefaultURL is where a node listens when nothing else was said.
const DefaultURL = "http://127.0.0.1:8080"

// Config says how to reach a cluster. The zero value reaches DefaultURL.
type Config struct {
	// URLs of nodes of one cluster, with or without /api/v1. Requests start
	// at the first that last answered.
	URLs []string
	// HTTP does the requests; nil uses a client of its own with no total
	// timeout, since transfers of any length are normal.
	HTTP *http.Client
	// Retries of a repeatable request after the first try; 0 means 5, less
	// than 0 none.
	Retries int
	// Backoff before the first retry, doubled up to 2 s; 0 means 100 ms.
	Backoff time.Duration
}

// Client is a connection to a cluster.
type Client struct {
	bases   []string
	http    *http.Client
	retries int
	backoff time.Duration
	current atomic.Uint32 // index into bases of the node that last answered
}

// New returns a Client. It does not connect.
func New(c Config) (*Client, error) {
	if len(c.URLs) == 0 {
		c.URLs = []string{DefaultURL}
	}
	cl := &Client{http: c.HTTP, retries: c.Retries, backoff: c.Backoff}
	for _, u := range c.URLs {
		base, err := parseBase(u)
		if err != nil {
			return nil, err
		}
		cl.bases = append(cl.bases, base)
	}
	if cl.retries == 0 {
		cl.retries = 5
	}
	if cl.backoff == 0 {
		cl.backoff = 100 * time.Millisecond
	}
	if cl.http == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 64
		t.DisableCompression = true
		t.ResponseHeaderTimeout = 0
		cl.http = &http.Client{Transport: t}
	}
	h := *cl.http
	h.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if m := via[0].Method; m != http.MethodGet && m != http.MethodHead || len(via) > 5 {
			return http.ErrUseLastResponse
		}
		return nil
	}
	cl.http = &h
	return cl, nil
}

func parseBase(s string) (string, error) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", vfs.Invalid.Withf("%q is not the URL of a node, such as %s", s, DefaultURL)
	}
	base := strings.TrimSuffix(u.Scheme+"://"+u.Host+u.Path, "/")
	return strings.TrimSuffix(base, "/api/v1"), nil
}

// Close gives idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call is one request before it is sent.
type call struct {
	method string
	route  string // below the base, as "/api/v1/files"
	query  url.Values
	header http.Header
	body   func() (io.Reader, error) // nil: none; called for each try
	once   bool                      // the body cannot be read again
	size   int64                     // of the body; -1: not known
	verb   string                    // for errors
	path   string
}

func (k *call) repeatable() bool {
	if k.method == http.MethodGet || k.method == http.MethodHead {
		return true
	}
	return !k.once && k.header.Get("Idempotency-Key") != ""
}

// do sends the call and returns an answer of status 2xx, whose body the caller
// closes. Any other answer is an error.
func (c *Client) do(ctx context.Context, k call) (*http.Response, error) {
	if k.header == nil {
		k.header = http.Header{}
	}
	tries := 1
	if k.repeatable() {
		tries += max(c.retries, 0)
	}
	wait := c.backoff
	for try := 1; ; try++ {
		resp, err := c.send(ctx, k)
		if err == nil {
			return resp, nil
		}
		if try >= tries || !temporary(err) || ctx.Err() != nil {
			return nil, &fs.PathError{Op: k.verb, Path: k.path, Err: err}
		}
		c.current.Add(1)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 2*time.Second)
	}
}

func (c *Client) send(ctx context.Context, k call) (*http.Response, error) {
	base := c.bases[int(c.current.Load())%len(c.bases)]
	var body io.Reader
	if k.body != nil {
		b, err := k.body()
		if err != nil {
			return nil, err
		}
		body = b
	}
	u := base + k.route
	if len(k.query) > 0 {
		u += "?" + k.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, k.method, u, body)
	if err != nil {
		return nil, err
	}
	for name, values := range k.header {
		req.Header[name] = values
	}
	if body != nil && k.size >= 0 {
		req.ContentLength = k.size
		if k.size == 0 {
			req.Body = http.NoBody
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &Unreachable{URL: base, Err: err}
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, readError(resp)
}

// temporary reports whether the same request may succeed a little later.
func temporary(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Status == 429 || e.Status == 502 || e.Status == 503 || e.Status == 504
	}
	var u *Unreachable
	return errors.As(err, &u)
}

// json sends a call and decodes the answer into out, unless out is nil.
func (c *Client) json(ctx context.Context, k call, out any) error {
	resp, err := c.do(ctx, k)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return &fs.PathError{Op: k.verb, Path: k.path, Err: err}
	}
	return nil
}

// object makes a call's body of a value in JSON.
func object(v any) func() (io.Reader, error) {
	b, err := json.Marshal(v)
	return func() (io.Reader, error) { return bytes.NewReader(b), err }
}

// newKey returns an idempotency key that no other request has.
func newKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func pathQuery(p string) url.Values { return url.Values{"path": {p}} }
