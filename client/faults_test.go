package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/ports"
	"github.com/pfs-project/pfs/vfs"
)

// script is a server that gives one answer after the other, the last for ever.
type script struct {
	mu   sync.Mutex
	seen []request
}

type request struct {
	method, target, key, body string
}

func (s *script) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

func (s *script) serve(t *testing.T, answers ...http.HandlerFunc) (url string) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // a body cut short is seen as what came
		s.mu.Lock()
		h := answers[min(len(s.seen), len(answers)-1)]
		s.seen = append(s.seen, request{r.Method, r.URL.RequestURI(), r.Header.Get("Idempotency-Key"), string(b)})
		s.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // the client may have left
	}
}

// hangUp closes the connection without an answer.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// cut sends a part of what was announced.
func cut(chunked bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if !chunked {
			w.Header().Set("Content-Length", "10")
		}
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

const (
	noLeader = `{"error":"no leader","code":"unavailable"}`
	unknown  = `{"error":"outcome unknown: leader lost","code":"unavailable","outcome":"unknown"}`
	written  = `{"message":"Written 4 bytes","index":7}`
)

func dial(t *testing.T, c client.Config) *client.Client {
	t.Helper()
	if c.Backoff == 0 {
		c.Backoff = time.Millisecond
	}
	cl, err := client.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// onlyReader hides that a reader can seek.
type onlyReader struct{ io.Reader }

// do is one of the ways to call a server; it has to send or receive "data".
var do = map[string]func(context.Context, *client.Client) error{
	"read": func(ctx context.Context, c *client.Client) error {
		b, err := c.ReadFile(ctx, "/f")
		if err == nil && string(b) != "data" {
			err = fmt.Errorf("read %q", b)
		}
		return err
	},
	"open": func(ctx context.Context, c *client.Client) error {
		r, err := c.Open(ctx, "/f")
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.ReadAll(r)
		return err
	},
	"write": func(ctx context.Context, c *client.Client) error {
		_, err := c.WriteFile(ctx, "/f", []byte("data"))
		return err
	},
	"seek": func(ctx context.Context, c *client.Client) error {
		r := strings.NewReader("skipped,data")
		_, _ = r.Seek(8, io.SeekStart)
		_, err := c.Write(ctx, "/f", r, -1)
		return err
	},
	"once": func(ctx context.Context, c *client.Client) error {
		_, err := c.Write(ctx, "/f", onlyReader{strings.NewReader("data")}, 4)
		return err
	},
	"pipe": func(ctx context.Context, c *client.Client) error {
		_, err := c.Write(ctx, "/f", brokenSeeker{strings.NewReader("data")}, -1)
		return err
	},
	"change": func(ctx context.Context, c *client.Client) error { return c.Rename(ctx, "/f", "/g") },
}

// brokenSeeker is as an *os.File of a pipe.
type brokenSeeker struct{ io.Reader }

func (brokenSeeker) Seek(int64, int) (int64, error) { return 0, errors.New("illegal seek") }

func TestRepeats(t *testing.T) {
	ok, good := answer(200, "data"), answer(200, written)
	for _, c := range []struct {
		name, do string
		answers  []http.HandlerFunc
		retries  int
		want     error // nil: success
		tries    int
	}{
		{"read after 503", "read", []http.HandlerFunc{answer(503, noLeader), answer(429, "{}"), ok}, 0, nil, 3},
		{"open after 503", "open", []http.HandlerFunc{answer(503, noLeader), ok}, 0, nil, 2},
		{"write after 503", "write", []http.HandlerFunc{answer(503, noLeader), answer(504, "{}"), good}, 0, nil, 3},
		{"seeker after 503", "seek", []http.HandlerFunc{answer(503, noLeader), good}, 0, nil, 2},
		{"change after 503", "change", []http.HandlerFunc{answer(503, noLeader), good}, 0, nil, 2},
		{"one-shot after 503", "once", []http.HandlerFunc{answer(503, noLeader), good}, 0, vfs.Unavailable, 1},
		{"pipe after 503", "pipe", []http.HandlerFunc{answer(503, noLeader), good}, 0, vfs.Unavailable, 1},
		{"write after unknown", "write", []http.HandlerFunc{answer(503, unknown), good}, 0, nil, 2},
		{"one-shot unknown", "once", []http.HandlerFunc{answer(503, unknown), good}, 0, client.ErrUnknown, 1},
		{"read after hang-up", "read", []http.HandlerFunc{hangUp, ok}, 0, nil, 2},
		{"write after hang-up", "write", []http.HandlerFunc{hangUp, good}, 0, nil, 2},
		{"change after hang-up", "change", []http.HandlerFunc{hangUp, good}, 0, nil, 2},
		{"one-shot after hang-up", "once", []http.HandlerFunc{hangUp, good}, 0, client.ErrUnknown, 1},
		{"no retries", "write", []http.HandlerFunc{answer(503, noLeader), good}, -1, vfs.Unavailable, 1},
		{"retries used up", "write", []http.HandlerFunc{answer(503, noLeader)}, 2, vfs.Unavailable, 3},
		{"unknown stays unknown", "write", []http.HandlerFunc{answer(503, unknown), answer(503, noLeader)}, 2, client.ErrUnknown, 3},
		{"refusal", "write", []http.HandlerFunc{answer(409, `{"error":"e","code":"exists"}`), good}, 0, fs.ErrExist, 1},
		{"proxy's 502 of a write", "once", []http.HandlerFunc{answer(502, "<h1>Bad Gateway</h1>")}, 0, client.ErrUnknown, 1},
		{"read cut off", "read", []http.HandlerFunc{cut(false), cut(true), ok}, 0, nil, 3},
		{"read cut off for good", "read", []http.HandlerFunc{cut(false)}, 1, io.ErrUnexpectedEOF, 2},
		{"stream cut off", "open", []http.HandlerFunc{cut(false), ok}, 0, io.ErrUnexpectedEOF, 1},
		{"chunks cut off", "open", []http.HandlerFunc{cut(true), ok}, 0, io.ErrUnexpectedEOF, 1},
		{"answer of a write cut off", "write", []http.HandlerFunc{cut(false), good}, 0, nil, 2},
		{"write redirected", "write", []http.HandlerFunc{answer(307, "", "Location", "/elsewhere"), good}, 0, vfs.Internal, 1},
		{"change redirected", "change", []http.HandlerFunc{answer(303, "", "Location", "/elsewhere"), good}, 0, vfs.Internal, 1},
		{"read redirected", "read", []http.HandlerFunc{answer(307, "", "Location", "/elsewhere"), ok}, 0, nil, 2},
		{"redirected in a circle", "read", []http.HandlerFunc{answer(307, "", "Location", "/elsewhere")}, 0, vfs.Internal, 6},
		{"keys are not kept", "write", []http.HandlerFunc{answer(501, `{"error":"no keys","code":"unsupported"}`), good}, 0, nil, 2},
		{"unsupported", "change", []http.HandlerFunc{answer(501, `{"error":"no","code":"unsupported"}`)}, 0, vfs.Unsupported, 2},
		{"without a key once", "write", []http.HandlerFunc{answer(501, "{}"), answer(503, noLeader), good}, 0, vfs.Unavailable, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s script
			cl := dial(t, client.Config{URLs: []string{s.serve(t, c.answers...)}, Retries: c.retries})
			err := do[c.do](t.Context(), cl)
			if c.want == nil && err != nil || !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			var pe *fs.PathError
			if err != nil && (!errors.As(err, &pe) || pe.Path != "/f") {
				t.Errorf("%v does not name the file", err)
			}
			seen := s.requests()
			if len(seen) != c.tries {
				t.Fatalf("%d requests, want %d: %v", len(seen), c.tries, seen)
			}
			for _, r := range seen {
				if r.method == "PUT" && r.body != "data" {
					t.Errorf("sent %q", r.body)
				}
				if r.key != "" && r.key != seen[0].key || c.do == "once" && r.key != "" || c.do == "write" && seen[0].key == "" {
					t.Errorf("keys of %v", seen)
				}
			}
		})
	}
}

// A key of the caller's own is never left out.
func TestGivenKeyStays(t *testing.T) {
	var s script
	cl := dial(t, client.Config{URLs: []string{s.serve(t, answer(501, "{}"))}})
	_, err := cl.WriteFile(t.Context(), "/f", nil, client.Key("mine"))
	if !errors.Is(err, vfs.Unsupported) {
		t.Errorf("got %v", err)
	}
	if seen := s.requests(); len(seen) != 1 || seen[0].key != "mine" {
		t.Errorf("sent %v", seen)
	}
}

func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{"1": time.Second, "3600": 2 * time.Second, "-1": 0, "soon": 0, "": 0} {
		var s script
		cl := dial(t, client.Config{URLs: []string{s.serve(t, answer(429, "{}", "Retry-After", header))}, Retries: -1})
		var e *client.Error
		if err := cl.Ready(t.Context()); !errors.As(err, &e) || e.RetryAfter != want || !errors.Is(err, vfs.Throttled) {
			t.Errorf("%q gave %v, %v", header, e, err)
		}
	}
	var s script
	cl := dial(t, client.Config{URLs: []string{s.serve(t, answer(503, noLeader, "Retry-After", "1"), answer(200, "{}"))}})
	from := time.Now()
	if err := cl.Ready(t.Context()); err != nil || time.Since(from) < time.Second {
		t.Errorf("after %v: %v", time.Since(from), err)
	}
}

// A time to wait is for the node that has asked for it: another one is asked meanwhile.
func TestRetryAfterOfOneNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(r *http.Request, _ int) (int, io.Reader, http.Header) {
			if r.URL.Host == "n1" {
				return 503, strings.NewReader(noLeader), http.Header{"Retry-After": {"3"}}
			}
			return 200, strings.NewReader("{}"), nil
		}}
		from := time.Now()
		if err := f.dial(t, "n1", "n2").Ready(t.Context()); err != nil || time.Since(from) > time.Second || f.count("n2") != 1 {
			t.Errorf("after %v: %v, %q", time.Since(from), err, f.seen)
		}
	})
}

// refusing returns the URL of a port that takes no connections.
func refusing(t *testing.T) string {
	return "http://" + ports.Free(t, 1)[0]
}

func TestNodesTakeTurns(t *testing.T) {
	var s script
	up := s.serve(t, answer(200, written, "X-Pfs-Index", "7"))
	cl := dial(t, client.Config{URLs: []string{refusing(t), up + "/api/v1/"}, NoWait: true, Backoff: time.Hour})
	if err := do["write"](t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	if err := do["once"](t.Context(), cl); err != nil { // the node that answered stays
		t.Fatal(err)
	}
	if _, err := cl.Stat(t.Context(), "/f"); err != nil {
		t.Fatal(err)
	}
	seen := s.requests()
	if len(seen) != 3 || seen[0].target != "/api/v1/files?path=%2Ff" || !strings.Contains(seen[2].target, "min_index=7") {
		t.Errorf("requests %v", seen)
	}
}

func TestNobodyThere(t *testing.T) {
	cl := dial(t, client.Config{URLs: []string{refusing(t), refusing(t)}, NoWait: true, Backoff: time.Hour})
	err := do["write"](t.Context(), cl)
	var u *client.Unreachable
	if !errors.As(err, &u) || !u.Refused() || errors.Is(err, client.ErrUnknown) || vfs.KindOf(err) != vfs.Unavailable {
		t.Errorf("got %v", err)
	}
	cl = dial(t, client.Config{URLs: []string{refusing(t)}, Retries: 3})
	if err := do["write"](t.Context(), cl); !errors.Is(err, vfs.Unavailable) || errors.Is(err, client.ErrUnknown) {
		t.Errorf("got %v", err)
	}
}

func TestCancelIsPrompt(t *testing.T) {
	release := make(chan struct{})
	hang := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	half := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		hang(w, r)
	}
	stdin, feed := io.Pipe() // never gives anything
	defer feed.Close()
	defer close(release)
	var calls sync.WaitGroup
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		do     func(context.Context, *client.Client) error
	}{
		"read":          {hang, do["read"]},
		"write":         {hang, do["write"]},
		"body":          {half, do["open"]},
		"between tries": {answer(503, noLeader), do["write"]},
		"silent source": {hang, func(ctx context.Context, c *client.Client) error {
			_, err := c.Write(ctx, "/f", stdin, -1)
			return err
		}},
	} {
		calls.Go(func() {
			var s script
			cl := dial(t, client.Config{URLs: []string{s.serve(t, c.answer)}, Backoff: time.Hour})
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // by then the server was asked
			defer cancel()
			from := time.Now()
			err := c.do(ctx, cl)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(from) > time.Minute {
				t.Errorf("%s: after %v: %v", name, time.Since(from), err)
			}
			if name == "between tries" && !errors.Is(err, vfs.Unavailable) {
				t.Errorf("%s: the last answer is not in %v", name, err)
			}
			if (name == "write" || name == "silent source") != errors.Is(err, client.ErrUnknown) {
				t.Errorf("%s: unknown? %v", name, err)
			}
		})
	}
	calls.Wait()
}

// What goes wrong with the source is told, is not the node's fault, and is not
// tried again.
func TestBadSource(t *testing.T) {
	boom := errors.New("disk on fire")
	for name, c := range map[string]struct {
		r    io.Reader
		size int64
		want error
	}{
		"fails":         {io.MultiReader(strings.NewReader("da"), iotestErr{boom}), -1, boom},
		"became short":  {strings.NewReader("da"), 4, io.ErrUnexpectedEOF},
		"became longer": {strings.NewReader("data and more"), 4, nil},
	} {
		var s script
		cl := dial(t, client.Config{URLs: []string{s.serve(t, answer(200, written))}})
		_, err := cl.Write(t.Context(), "/f", c.r, c.size)
		var u *client.Unreachable
		if !errors.Is(err, c.want) || errors.As(err, &u) || errors.Is(err, client.ErrUnknown) {
			t.Errorf("%s: got %v", name, err)
		}
		if seen := s.requests(); len(seen) > 1 || c.want == nil && seen[0].body != "data" {
			t.Errorf("%s: sent %v", name, seen)
		}
	}
}

type iotestErr struct{ err error }

func (r iotestErr) Read([]byte) (int, error) { return 0, r.err }

// zeros is an endless source; it must not be read once a call has returned.
type zeros struct {
	over atomic.Bool
	late atomic.Bool
}

func (z *zeros) Read(b []byte) (int, error) {
	if z.over.Load() {
		z.late.Store(true)
	}
	clear(b)
	return len(b), nil
}

func (z *zeros) Seek(int64, int) (int64, error) { return 0, nil }

// A refusal that comes while the body is still on its way is told as such, and
// ends the reading of the source.
func TestEarlyRefusal(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(413, `{"error":"too large","code":"too_large"}`)(w, r)
	}))
	defer srv.Close()
	cl := dial(t, client.Config{URLs: []string{srv.URL}, Retries: -1})
	z := &zeros{}
	_, err := cl.Write(t.Context(), "/f", z, 1<<40)
	z.over.Store(true)
	if !errors.Is(err, vfs.TooLarge) {
		t.Errorf("got %v", err)
	}
	cl.Close()
	if z.late.Load() {
		t.Error("the source was read after the call")
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		status     int
		body, text string
		is         []error
	}{
		{404, `{"error":"read: /f: not found","code":"not_found"}`, "read: /f: not found", []error{fs.ErrNotExist, vfs.NotFound}},
		{409, `{"error":"file already exists: /f","code":"exists"}`, "file already exists: /f", []error{fs.ErrExist}},
		{403, `{"error":"no","code":"permission"}`, "no", []error{fs.ErrPermission}},
		{400, `{"error":"is a directory","code":"is_directory"}`, "is a directory", []error{vfs.IsDirectory}},
		{409, `{"error":"x","code":"lease_lost"}`, "x", []error{vfs.LeaseLost}},
		{500, `{"error":"no such file or directory: /f"}`, "no such file or directory: /f", []error{vfs.Internal}},
		{404, `404 page not found`, "404 Not Found 404 page not found", []error{fs.ErrNotExist}},
		{405, `{"error":"method not allowed","code":"method_not_allowed"}`, "method not allowed", []error{vfs.Unsupported}},
		{414, ``, "414 Request URI Too Long", []error{vfs.Invalid}},
		{418, `[]`, "418 I'm a teapot []", []error{vfs.Invalid}},
		{507, `{"error":"full"}`, "full", []error{vfs.NoSpace}},
	} {
		var s script
		cl := dial(t, client.Config{URLs: []string{s.serve(t, answer(c.status, c.body, "X-Request-Id", "r1"))}, Retries: -1})
		_, err := cl.Stat(t.Context(), "/f")
		var e *client.Error
		if !errors.As(err, &e) || e.Message != c.text || e.Status != c.status || e.RequestID != "r1" {
			t.Errorf("%d %s: got %v", c.status, c.body, err)
		}
		for _, is := range c.is {
			if !errors.Is(err, is) {
				t.Errorf("%v is not %v", err, is)
			}
		}
	}
}

func TestBadURLs(t *testing.T) {
	for _, u := range []string{"", "ftp://x", "http://", "://", "http://user:pass@host", "http://[::1"} {
		if _, err := client.New(client.Config{URLs: []string{u}}); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v", u, err)
		}
	}
	for _, u := range []string{"localhost:8080", " http://h/api/v1/ ", "https://h/prefix", "[::1]:80"} {
		if _, err := client.New(client.Config{URLs: []string{u}}); err != nil {
			t.Errorf("%q: %v", u, err)
		}
	}
}

// An answer that is not what it should be is an error, not an empty value.
func TestGarbage(t *testing.T) {
	var s script
	cl := dial(t, client.Config{URLs: []string{s.serve(t, answer(200, "<html>"))}})
	if _, err := cl.Stat(t.Context(), "/f"); err == nil {
		t.Error("Stat took HTML")
	}
	if _, err := cl.List(t.Context(), "/"); err == nil {
		t.Error("List took HTML")
	}
	if _, err := cl.WriteFile(t.Context(), "/f", nil); err == nil {
		t.Error("WriteFile took HTML")
	}
}

// Neither way does a transfer hold more than a small part of the content.
func TestStreamsAreBounded(t *testing.T) {
	const size = 128 << 20
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if r.Method == "GET" {
			w.Header().Set("Content-Length", fmt.Sprint(size))
			_, _ = io.CopyN(w, &zeros{}, size)
			return
		}
		fmt.Fprintf(w, `{"message":"Written %d bytes"}`, n)
	}))
	defer srv.Close()
	cl := dial(t, client.Config{URLs: []string{srv.URL}})
	if got := allocated(func() {
		w, err := cl.Write(t.Context(), "/f", onlyReader{io.LimitReader(&zeros{}, size)}, -1)
		if err != nil || w.Message != fmt.Sprintf("Written %d bytes", size) {
			t.Errorf("%s, %v", w.Message, err)
		}
		r, err := cl.Open(t.Context(), "/f")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if n, err := io.Copy(io.Discard, r); n != size || err != nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
	}); got > 8<<20 {
		t.Errorf("allocated %d MiB", got>>20)
	}
}
