package client

import (
	"crypto/tls"
	"net"
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
	// at the first; after a failure at the next.
	URLs []string
	// HTTP does the requests; nil uses a client of its own with no total
	// timeout, since transfers of any length are normal.
	HTTP *http.Client
	// Retries of a repeatable request after the first try; 0 means 5, less
	// than 0 none.
	Retries int
	// Backoff before the first retry, doubled up to 2 s; 0 means 100 ms. The
	// waits are jittered, and stretched to what a node's Retry-After asks for.
	Backoff time.Duration
	// NoWait makes it an error at once when none of the nodes takes
	// connections and none ever answered this Client.
	NoWait bool
	// TLS is used for https, unless HTTP is given; nil: the system's roots.
	TLS *tls.Config
	// Header goes along with every request; nil for none.
	Header http.Header
	// Token is sent with every request as "Authorization: Bearer"; "" for none.
	Token string
	// Discover makes the Client ask the cluster for its nodes before its first
	// request and after failures, as [Client.Discover] does.
	Discover bool
}

// Client is a connection to a cluster.
type Client struct {
	given    []string // by the Config
	bases    atomic.Pointer[[]string]
	http     *http.Client
	slow     *http.Client // for answers that may be long in coming
	retries  int
	backoff  time.Duration
	noWait   bool
	header   http.Header
	current  atomic.Uint32 // modulo len(bases): the node to ask
	answered atomic.Bool   // any node ever did
	wrote    atomic.Uint64 // highest raft index of a write of this Client
	lookout  lookout
}

// New returns a Client. It does not connect.
func New(c Config) (*Client, error) {
	if len(c.URLs) == 0 {
		c.URLs = []string{DefaultURL}
	}
	cl := &Client{http: c.HTTP, retries: max(c.Retries, 0), backoff: c.Backoff, noWait: c.NoWait, header: c.Header}
	var bases []string
	for _, u := range c.URLs {
		base, err := parseBase(u)
		if err != nil {
			return nil, err
		}
		bases = append(bases, base)
	}
	cl.given = bases
	cl.bases.Store(&bases)
	cl.lookout.on = c.Discover
	cl.lookout.doubt.Store(true)
	if err := cl.authorize(c.Token); err != nil {
		return nil, err
	}
	if c.Retries == 0 {
		cl.retries = 5
	}
	if cl.backoff <= 0 {
		cl.backoff = 100 * time.Millisecond
	}
	patient := cl.http
	if cl.http == nil {
		t := transport()
		t.TLSClientConfig = c.TLS
		cl.http = &http.Client{Transport: t}
		t = t.Clone()
		t.ResponseHeaderTimeout = 0
		patient = &http.Client{Transport: t}
	}
	cl.http, cl.slow = followingReads(cl.http), followingReads(patient)
	return cl, nil
}

// authorize makes every request carry a token. The header that was given is not
// changed.
func (c *Client) authorize(token string) error {
	if token == "" {
		return nil
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return vfs.Invalid.With("the token has a space or a character that a header cannot carry: is there a line end behind it?")
	}
	h := c.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Authorization", "Bearer "+token)
	c.header = h
	return nil
}

// followingReads returns h so that it follows redirects of reads alone.
func followingReads(h *http.Client) *http.Client {
	c := *h
	c.CheckRedirect = func(_ *http.Request, via []*http.Request) error {
		if m := via[0].Method; m != http.MethodGet && m != http.MethodHead || len(via) > 5 {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return &c
}

// transport gives up on nodes that take no connection or no longer answer, but
// never on a transfer that moves.
func transport() *http.Transport {
	dial := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dial.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       45 * time.Second, // before a node closes them
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 2 * time.Minute, // longer than any wait a node offers
		DisableCompression:    true,
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
	}
}

func parseBase(s string) (string, error) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return "", vfs.Invalid.Withf("%q is not the URL of a node, such as %s", s, DefaultURL)
	}
	at := strings.TrimSuffix(u.EscapedPath(), "/")
	return u.Scheme + "://" + u.Host + strings.TrimSuffix(at, "/api/v1"), nil
}

// Close gives idle connections back.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.slow.CloseIdleConnections()
}
