package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"
)

// patience is how long a request may take before it counts as failed.
const patience = 60 * time.Second

// session is one client: one connection to one node, kept alive. It is used by
// one goroutine at a time.
type session struct {
	base  string // of the API, as http://127.0.0.1:8080/api/v1
	token string
	line  line
	hc    *fasthttp.HostClient
	req   fasthttp.Request
	resp  fasthttp.Response
	uri   []byte
}

// refusal is an answer that says no.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.text) }

func dial(base, token string, roots *tls.Config) (*session, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is no URL of a server, as http://127.0.0.1:8080", base)
	}
	s := &session{base: base + "/api/v1", token: token}
	s.hc = &fasthttp.HostClient{
		Addr: fasthttp.AddMissingPort(u.Host, u.Scheme == "https"), IsTLS: u.Scheme == "https", TLSConfig: roots, MaxConns: 1, NoDefaultUserAgentHeader: true,
		DisablePathNormalizing: true, ReadTimeout: patience, WriteTimeout: patience, StreamResponseBody: false,
		ReadBufferSize: 8 << 10, WriteBufferSize: 8 << 10, MaxIdemponentCallAttempts: 1, Dial: s.line.dial,
		MaxIdleConnDuration: time.Hour, // while others have their turns; else ten seconds
		// A request that was sent twice would count as one.
		RetryIfErr: func(*fasthttp.Request, int, error) (bool, bool) { return false, false },
	}
	return s, nil
}

// do is once, and a GET that found its connection closed is sent again: it was
// closed while nothing was asked.
func (s *session) do(ctx context.Context, method, query string, body []byte, headers ...string) ([]byte, error) {
	answer, err := s.once(ctx, method, query, body, headers...)
	if errors.Is(err, fasthttp.ErrConnectionClosed) && method == "GET" {
		return s.once(ctx, method, query, body, headers...)
	}
	return answer, err
}

// once sends one request, and never again: a GET that takes a message out of a
// queue may have done so. query is what follows the API's base. The answer's body
// is good until the next request. Any status of 300 or more is a *refusal. When
// ctx ends so does the request, with its error.
func (s *session) once(ctx context.Context, method, query string, body []byte, headers ...string) ([]byte, error) {
	s.uri = append(append(s.uri[:0], s.base...), query...)
	s.req.Reset()
	s.req.Header.SetMethod(method)
	s.req.SetRequestURIBytes(s.uri)
	for i := 0; i+1 < len(headers); i += 2 {
		s.req.Header.Set(headers[i], headers[i+1])
	}
	if s.token != "" {
		s.req.Header.Set("Authorization", "Bearer "+s.token)
	}
	if body != nil {
		s.req.SetBodyRaw(body)
	}
	err := s.line.begin(ctx)
	if err == nil {
		err = s.hc.Do(&s.req, &s.resp)
		s.line.end()
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	if code := s.resp.StatusCode(); code >= 300 {
		return nil, &refusal{status: code, text: fmt.Sprintf("%.200s", s.resp.Body())}
	}
	return s.resp.Body(), nil
}

// header is one of the last answer's.
func (s *session) header(name string) string { return string(s.resp.Header.Peek(name)) }

func (s *session) close() {
	s.hc.CloseIdleConnections()
	s.line.forget()
}
