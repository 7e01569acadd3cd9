package api

import (
	"io"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/pfs-project/pfs/remote"
	"github.com/pfs-project/pfs/vfs"
)

func newPeerClient() *fasthttp.Client {
	return &fasthttp.Client{
		NoDefaultUserAgentHeader: true, DisablePathNormalizing: true, StreamResponseBody: true,
		MaxConnsPerHost: 256, MaxIdleConnDuration: 30 * time.Second,
		ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
		// A request that was sent may have taken something.
		MaxIdemponentCallAttempts: 1,
	}
}

// passed are the headers that go along with a forwarded request, and back.
var (
	passedOn   = []string{"Content-Type", "If-Match", "If-None-Match", "Idempotency-Key", "User-Agent"}
	passedBack = []string{"Content-Type", "ETag", "X-Bytes-Read", "X-Pfs-Index", "X-Pfs-Seq", "X-Pfs-Placement",
		"Idempotency-Replayed", "Retry-After", "Allow", "X-Content-Type-Options"}
)

// forward sends the request to the node with a number and answers its answer.
func (c *call) forward(number uint16) error {
	base, ok := c.s.cfg.Node.Peer(number)
	if !ok || c.header(remote.HopHeader) != "" {
		return vfs.NotFound
	}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	req.Header.SetMethod(c.method())
	req.SetRequestURI(strings.TrimSuffix(base, "/") + string(c.fc.RequestURI()))
	for _, name := range passedOn {
		if v := c.header(name); v != "" {
			req.Header.Set(name, v)
		}
	}
	req.Header.Set(remote.HopHeader, "1")
	req.Header.Set("X-Request-Id", c.id)
	if in := c.body(); in.r != nil && in.want != 0 {
		req.SetBodyStream(in, int(in.want))
	}
	if err := c.s.peers.Do(req, resp); err != nil {
		fasthttp.ReleaseResponse(resp)
		if in := c.body(); in.err != nil {
			return in.err
		}
		if c.method() == "GET" {
			return vfs.Unavailable.With("the node of the handle does not answer")
		}
		return &vfs.Unknown{Cause: vfs.Unavailable.With("the node of the handle does not answer")}
	}
	for _, name := range passedBack {
		if v := resp.Header.Peek(name); len(v) > 0 {
			c.set(name, string(v))
		}
	}
	c.fc.SetStatusCode(resp.StatusCode())
	c.fc.Response.SetBodyStream(&peerBody{resp.BodyStream(), resp}, max(resp.Header.ContentLength(), -1))
	return nil
}

// peerBody is an answer on its way through this node.
type peerBody struct {
	io.Reader
	resp *fasthttp.Response
}

// Close gives the connection to the peer back.
func (b *peerBody) Close() error {
	err := b.resp.CloseBodyStream()
	fasthttp.ReleaseResponse(b.resp)
	return err
}
