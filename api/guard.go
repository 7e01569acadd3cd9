package api

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// maxFields is how many header fields one request may have.
const maxFields = 128

// refusal is a request that is not even looked at.
type refusal struct {
	status int
	reason string
}

// methods are those that a request may have at all.
var methods = [...]string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}

// framing is what the header says of the body.
type framing struct {
	length  int64 // bytes; -1 when chunked
	host    []byte
	expects bool
	says    bool // there is a field that the answer may depend on

	lengths, encodings, hosts, fields int
}

// check judges a request by the bytes of its header as they arrived. What
// fasthttp itself refuses comes to malformed instead.
func check(h *fasthttp.RequestHeader) (framing, *refusal) {
	var f framing
	if p := string(h.Protocol()); p != "HTTP/1.1" && p != "HTTP/1.0" {
		return f, &refusal{505, "HTTP version not supported"}
	}
	if m := methodOf(h.Method()); !slices.Contains(methods[:], m) {
		return f, &refusal{405, "method not allowed"}
	}
	uri := h.RequestURI()
	if len(uri) > maxURI {
		return f, &refusal{414, "request target is too long"}
	}
	raw := h.RawHeaders()
	for len(raw) > 0 {
		line, rest, _ := bytes.Cut(raw, []byte{'\n'})
		raw = rest
		if len(line) == 0 || line[len(line)-1] != '\r' {
			return f, &refusal{400, "bare line feed in header"}
		}
		if line = line[:len(line)-1]; len(line) == 0 {
			break
		}
		if r := f.field(line, h); r != nil {
			return f, r
		}
	}
	switch {
	case f.lengths > 1 || f.encodings > 1 || f.lengths > 0 && f.encodings > 0:
		return f, &refusal{400, "ambiguous length of the body"}
	case f.hosts == 0 && h.IsHTTP11() || f.hosts > 1:
		return f, &refusal{400, "exactly one Host is required"}
	case uri[0] != '/' && !sameHost(uri, f.host):
		return f, &refusal{400, "request target does not match Host"}
	}
	return f, nil
}

// methodOf returns the method; those that are known cost no copy.
func methodOf(b []byte) string {
	for _, m := range methods {
		if m == string(b) {
			return m
		}
	}
	return string(b)
}

// is reports whether a header field has a name, in letters of any case.
func is(field []byte, name string) bool {
	return len(field) == len(name) && strings.EqualFold(string(field), name)
}

// field judges one header line.
func (f *framing) field(line []byte, h *fasthttp.RequestHeader) *refusal {
	if f.fields++; f.fields > maxFields {
		return &refusal{431, "too many header fields"}
	}
	if line[0] == ' ' || line[0] == '\t' {
		return &refusal{400, "folded header"}
	}
	key, value, ok := bytes.Cut(line, []byte{':'})
	if !ok || len(key) == 0 || bytes.IndexByte(key, ' ') >= 0 || bytes.IndexByte(key, '\t') >= 0 {
		return &refusal{400, "malformed header"}
	}
	value = bytes.Trim(value, " \t")
	switch {
	case is(key, "content-length"):
		f.lengths++
		n, ok := digits(value)
		if !ok {
			return &refusal{400, "malformed Content-Length"}
		}
		f.length = n
	case is(key, "transfer-encoding"):
		f.encodings++
		if !bytes.EqualFold(value, []byte("chunked")) || !h.IsHTTP11() {
			return &refusal{400, "unsupported Transfer-Encoding"}
		}
		f.length, f.says = -1, true // its trailers may be any
	case is(key, "content-encoding"):
		if !bytes.EqualFold(value, []byte("identity")) {
			return &refusal{415, "unsupported Content-Encoding"}
		}
	case is(key, "expect"):
		if !bytes.EqualFold(value, []byte("100-continue")) {
			return &refusal{417, "unsupported Expect"}
		}
		f.expects = true
	case is(key, "host"):
		f.hosts++
		f.host = value
		if !validHost(value) {
			return &refusal{400, "malformed Host"}
		}
	default:
		f.says = f.says || !mute(key, value)
	}
	return nil
}

// mute reports whether no answer depends on a field: those that most clients send.
func mute(key, value []byte) bool {
	return is(key, "user-agent") || is(key, "x-request-id") || is(key, "accept") || is(key, "accept-encoding") || is(key, "connection") ||
		is(key, "content-type") && is(value, "application/octet-stream")
}

// digits reads a decimal number of at most 18 digits.
func digits(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}

func validHost(b []byte) bool {
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("-._:[]%", c) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}

// sameHost reports whether a target in absolute form names the host.
func sameHost(uri, host []byte) bool {
	if len(uri) == 1 && uri[0] == '*' {
		return true
	}
	_, rest, ok := bytes.Cut(uri, []byte("://"))
	if !ok {
		return false
	}
	if i := bytes.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return bytes.EqualFold(rest, host)
}

// received runs before the body is read. The body of a request that will be
// refused is not waited for, and no 100 Continue is sent for it.
func (s *Server) received(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	f, r := check(h)
	if r != nil || s.tooLong(f, h) {
		h.Del(fasthttp.HeaderExpect)
		h.SetContentLength(0)
	} else if f.expects {
		h.Set(fasthttp.HeaderExpect, "100-continue") // fasthttp knows it in lower case only
	}
	// One byte is read ahead; the handler streams the rest.
	return fasthttp.RequestConfig{MaxRequestBodySize: 1}
}

// tooLong reports whether the declared body is over the route's limit.
func (s *Server) tooLong(f framing, h *fasthttp.RequestHeader) bool {
	if f.length <= 0 {
		return false
	}
	limit := s.bodyLimit(methodOf(h.Method()), pathOf(h.RequestURI()))
	return limit > 0 && f.length > limit
}

// pathOf cuts a request target down to its path, as it was sent.
func pathOf(uri []byte) []byte {
	if i := bytes.IndexAny(uri, "?#"); i >= 0 {
		uri = uri[:i]
	}
	if _, rest, ok := bytes.Cut(uri, []byte("://")); ok {
		if i := bytes.IndexByte(rest, '/'); i >= 0 {
			uri = rest[i:]
		}
	}
	return uri
}

// malformed answers what fasthttp could not read.
func (s *Server) malformed(fc *fasthttp.RequestCtx, err error) {
	c := s.newCall(fc, nil)
	r := refusal{400, "malformed request"}
	cn, _ := fc.Conn().(*conn)
	if cn != nil {
		cn.unread = true
	}
	var small *fasthttp.ErrSmallBuffer
	var timeout net.Error
	switch {
	case errors.As(err, &small):
		r = refusal{431, "header is too large"}
		if cn != nil && cn.line >= maxHeader {
			r = refusal{414, "request target is too long"}
		}
	case errors.As(err, &timeout) && timeout.Timeout():
		r = refusal{408, "request timed out"}
	case strings.Contains(err.Error(), "http version"):
		r = refusal{505, "HTTP version not supported"}
	}
	c.refuse(r)
}
