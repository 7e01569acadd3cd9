package wasmhost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// What a module may ask of the web during one call.
const (
	maxRequests  = 20
	maxRequest   = 1 << 20 // bytes of a body
	maxAsked     = 6 << 20 // bytes of the JSON with it
	maxResponse  = 4 << 20 // bytes of a body
	maxHeaders   = 64 << 10
	maxRedirects = 5
	webTime      = 30 * time.Second // unless the request says less; the call ends earlier
)

// web makes the HTTP requests of one mount: its connections are not shared, as
// what they lead to was granted to it alone.
type web struct {
	grants    []vfs.WebGrant
	transport *http.Transport
	client    *http.Client
}

func newWeb(grants []string) (*web, error) {
	w := &web{}
	for _, s := range grants {
		g, err := vfs.ParseWebGrant(s)
		if err != nil {
			return nil, err
		}
		w.grants = append(w.grants, g)
	}
	dial := &net.Dialer{Timeout: 5 * time.Second, Control: w.control}
	w.transport = &http.Transport{ // and no proxy, whatever the environment says
		DialContext: dial.DialContext, TLSHandshakeTimeout: 5 * time.Second, IdleConnTimeout: 30 * time.Second,
		MaxIdleConnsPerHost: 2, MaxConnsPerHost: 8, MaxResponseHeaderBytes: maxHeaders, DisableCompression: true,
	}
	w.client = &http.Client{Transport: w.transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return vfs.Invalid.Withf("more than %d redirects", maxRedirects)
		}
		return w.may(r.Method, r.URL)
	}}
	return w, nil
}

func (w *web) close() {
	if w != nil {
		w.transport.CloseIdleConnections()
	}
}

// may checks the grant for one request, or for what it is sent on to.
func (w *web) may(method string, u *url.URL) error {
	if w == nil || !slices.ContainsFunc(w.grants, func(g vfs.WebGrant) bool {
		return g.Allows(method, u.Scheme, u.Hostname(), u.Port())
	}) {
		return vfs.Permission.Withf("no grant for %.10s %.10s://%.200s", method, u.Scheme, u.Host)
	}
	return nil
}

// control checks the address that is about to be connected to. Whatever a name
// leads to, what is not in the public Internet must be granted as an address.
func (w *web) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return vfs.Permission.Withf("no address of the network: %.100s", address)
	}
	if !public(to.Addr()) && !slices.ContainsFunc(w.grants, func(g vfs.WebGrant) bool { return g.Names(to) }) {
		return vfs.Permission.Withf("the name leads to %v, which is granted as an address only", to)
	}
	return nil
}

// inward are the ranges, beside those that netip knows, that lead into networks of
// their owners, or through translators to any address.
var inward = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("168.63.129.16/32"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

// public reports whether an address is one of the public Internet: not of this
// machine, its network, or what clouds tell their machines at link-local ones.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsGlobalUnicast() && !a.IsPrivate() && !slices.ContainsFunc(inward, func(p netip.Prefix) bool { return p.Contains(a) })
}

// webAsk is a request as modules write it: its body is a list of numbers, or
// base64.
type webAsk struct {
	Method, URL string
	Headers     map[string]string
	Body        []byte
	Timeout     float64 // seconds
}

// webAnswer is the answer to it. Some SDKs look for its fields as they are
// written here, without a space.
type webAnswer struct {
	Status  int               `json:"status_code"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
	Error   string            `json:"error,omitempty"`
}

// http answers host_http_request: as compact JSON without an end.
func (a *ask) http() uint64 {
	answer, err := a.request()
	if err != nil {
		answer = webAnswer{Headers: map[string]string{}, Body: []byte{}, Error: clip(worded(err), maxErrorText)}
	}
	a.i.p.env.log.Debug("plugin asks the web", "status", answer.Status, "error", err)
	b, err := json.Marshal(answer)
	if err != nil {
		return 0
	}
	at, n := a.give(b)
	return uint64(n)<<32 | uint64(at)
}

func (a *ask) request() (out webAnswer, err error) {
	w := a.i.p.web
	if a.i.requests++; a.i.requests > maxRequests {
		return out, vfs.Throttled.Withf("a call may make %d HTTP requests", maxRequests)
	}
	text, err := a.text(0, maxAsked)
	if err != nil {
		return out, err
	}
	var in webAsk
	if w == nil {
		return out, vfs.Permission.With("no grant for HTTP requests")
	}
	if json.Unmarshal(text, &in) != nil {
		return out, vfs.Invalid.With("the request is no JSON as host_http_request takes it")
	}
	if len(in.Body) > maxRequest {
		return out, vfs.TooLarge.Withf("the body of a request has at most %d bytes", maxRequest)
	}
	if in.Method == "" {
		in.Method = http.MethodGet
	}
	limit := webTime
	if in.Timeout > 0 && in.Timeout < webTime.Seconds() {
		limit = time.Duration(in.Timeout * float64(time.Second))
	}
	ctx, cancel := context.WithTimeout(a.ctx, limit)
	defer cancel()
	a.i.outside(func() { out, err = w.ask(ctx, in) })
	return out, err
}

// worded is the text of an error with the words of its kind, by which plugins tell
// errors apart.
func worded(err error) string {
	kind := vfs.KindOf(err)
	if kind == vfs.Internal || strings.Contains(err.Error(), kind.Error()) {
		return err.Error()
	}
	return kind.Error() + ": " + err.Error()
}

// ask makes one request.
func (w *web) ask(ctx context.Context, in webAsk) (out webAnswer, err error) {
	r, err := http.NewRequestWithContext(ctx, in.Method, in.URL, bytes.NewReader(in.Body))
	if err != nil {
		return out, vfs.Invalid.With("the request has no sound method and URL")
	}
	if err := w.may(in.Method, r.URL); err != nil {
		return out, err
	}
	size := 0
	for name, value := range in.Headers {
		size += len(name) + len(value)
		r.Header.Set(name, value)
	}
	if size > maxHeaders {
		return out, vfs.TooLarge.Withf("the headers of a request have at most %d bytes", maxHeaders)
	}
	answer, err := w.client.Do(r)
	if err != nil {
		return out, said(ctx, err)
	}
	defer answer.Body.Close()
	out = webAnswer{Status: answer.StatusCode, Headers: make(map[string]string, len(answer.Header))}
	for name := range answer.Header {
		out.Headers[name] = answer.Header.Get(name)
	}
	out.Body, err = io.ReadAll(io.LimitReader(answer.Body, maxResponse+1))
	switch {
	case err != nil:
		return out, said(ctx, err)
	case len(out.Body) > maxResponse:
		return out, vfs.TooLarge.Withf("the answer has more than %d bytes", maxResponse)
	}
	return out, nil
}

// said is what a module is told of a request that has failed: what it was refused
// for, or what has happened, without the URL.
func said(ctx context.Context, err error) error {
	var refused *vfs.Error
	if errors.As(err, &refused) {
		return refused
	}
	if ctx.Err() != nil {
		return vfs.Timeout.With("the server did not answer in time")
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("the request failed: %w", err)
}
