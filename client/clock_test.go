package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/pfs-project/pfs/client"
)

// fake answers without a network, so that the clock of a test can be its own.
type fake struct {
	mu     sync.Mutex
	seen   []string
	answer func(r *http.Request, n int) (status int, body io.Reader, header http.Header)
}

// RoundTrip notes the request and answers it.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.seen = append(f.seen, r.Method+" "+r.URL.Host+r.URL.RequestURI())
	n := len(f.seen)
	f.mu.Unlock()
	status, body, header := f.answer(r, n)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(body), Header: header, ContentLength: -1, Request: r}, nil
}

func (f *fake) count(part string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.seen {
		if strings.Contains(s, part) {
			n++
		}
	}
	return n
}

func (f *fake) dial(t *testing.T, urls ...string) *client.Client {
	c, err := client.New(client.Config{URLs: urls, HTTP: &http.Client{Transport: f}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// silent is a body that gives nothing until its request is given up.
type silent struct{ ctx context.Context }

// Read waits.
func (s silent) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

// An idle worker asks at most once in 30 s.
func TestWorkAsksSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(r *http.Request, _ int) (int, io.Reader, http.Header) {
			wait, err := time.ParseDuration(r.URL.Query().Get("wait"))
			if err != nil {
				t.Error(err)
			}
			select {
			case <-time.After(wait):
			case <-r.Context().Done():
			}
			return 200, strings.NewReader("[]"), nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute-time.Second)
		defer cancel()
		for range f.dial(t, "n1").Work(ctx, "/q", client.WorkOptions{}) {
			t.Error("a message out of nothing")
		}
		if n := f.count("take"); n != 20 {
			t.Errorf("%d requests in ten minutes, want 20", n)
		}
	})
}

// The lease of a message begins when it is given, not when it was asked for; it
// is lost when nobody could extend it for its whole length, and not before.
func TestWorkLeaseBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		f := &fake{answer: func(r *http.Request, _ int) (int, io.Reader, http.Header) {
			switch {
			case strings.Contains(r.URL.RawQuery, "take"):
				time.Sleep(29 * time.Second)
				return 200, strings.NewReader(`[{"id":"1","data":"x","lease":"l"}]`), nil
			case away.Load():
				return 503, strings.NewReader(noLeader), nil
			}
			return 200, strings.NewReader("{}"), nil
		}}
		for job, err := range f.dial(t, "n1").Work(t.Context(), "/q", client.WorkOptions{Lease: 9 * time.Second}) {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(31 * time.Second) // the last extension was a second ago
			if err := job.Context().Err(); err != nil || f.count("extend") != 10 {
				t.Errorf("%v after %d extensions", err, f.count("extend"))
			}
			away.Store(true)
			time.Sleep(7 * time.Second)
			if err := job.Context().Err(); err != nil {
				t.Errorf("lost before its time: %v", err)
			}
			time.Sleep(4 * time.Second)
			if err := context.Cause(job.Context()); !errors.Is(err, client.ErrLeaseLost) {
				t.Errorf("not lost: %v", err)
			}
			break
		}
		if n := f.count("nack"); n != 0 {
			t.Errorf("a lost job was given back %d times", n)
		}
	})
}

// A Tail of a connection that hears nothing asks another node for the same, and
// so does one that gets no answer.
func TestTailSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(r *http.Request, n int) (int, io.Reader, http.Header) {
			h := http.Header{"X-Pfs-Offset": {"7"}}
			switch n {
			case 1:
				return 200, silent{r.Context()}, h
			case 2:
				<-r.Context().Done()
				return 0, nil, nil
			}
			return 200, strings.NewReader("news"), h
		}}
		began := time.Now()
		tail, err := f.dial(t, "n1", "n2").Tail(t.Context(), "/tv", client.Now)
		if err != nil {
			t.Fatal(err)
		}
		defer tail.Close()
		if b, err := io.ReadAll(tail); string(b) != "news" || err != nil || tail.Offset() != 11 {
			t.Errorf("%q, %v", b, err)
		}
		if took := time.Since(began); took < 2*time.Minute || took > 3*time.Minute {
			t.Errorf("took %v", took)
		}
		if f.count("GET n1") != 2 || f.count("GET n2") != 1 || f.count("from=7") != 2 {
			t.Errorf("requests %q", f.seen)
		}
	})
}

// A Tail whose first node says nothing at all begins at another one. Silence is
// no loss that is told; a connection that breaks is, once.
func TestTailBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(r *http.Request, n int) (int, io.Reader, http.Header) {
			switch n {
			case 1:
				<-r.Context().Done()
				return 0, nil, nil
			case 2:
				return 200, io.MultiReader(strings.NewReader("ne"), silent{r.Context()}), http.Header{"X-Pfs-Offset": {"7"}}
			case 3:
				return 200, iotest.ErrReader(io.ErrUnexpectedEOF), http.Header{"X-Pfs-Offset": {"9"}}
			case 4, 5:
				return 503, strings.NewReader(noLeader), nil
			}
			return 200, strings.NewReader("ws"), http.Header{"X-Pfs-Offset": {"9"}}
		}}
		tail, err := f.dial(t, "n1", "n2").Tail(t.Context(), "/tv", client.Oldest)
		if err != nil {
			t.Fatal(err)
		}
		defer tail.Close()
		var lost []error
		tail.OnLoss(func(err error) { lost = append(lost, err) })
		if b, err := io.ReadAll(tail); string(b) != "news" || err != nil || tail.Offset() != 11 {
			t.Errorf("%q, %v, at %d", b, err, tail.Offset())
		}
		if len(lost) != 1 || !errors.Is(lost[0], io.ErrUnexpectedEOF) {
			t.Errorf("losses told: %v", lost)
		}
		if f.count("n2/") == 0 || f.count("from=7") != 0 || f.count("from=9") != 4 {
			t.Errorf("requests %q", f.seen)
		}
	})
}

// bound is a body that ends with its request.
type bound struct {
	ctx context.Context
	io.Reader
}

// Read reads on.
func (b bound) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.Reader.Read(p)
}

// slow is a body that gives a byte every 40 s, ten in all.
type slow struct{ n int }

// Read waits and gives one.
func (s *slow) Read(b []byte) (int, error) {
	if s.n++; s.n > 10 {
		return 0, io.EOF
	}
	time.Sleep(40 * time.Second)
	b[0] = '.'
	return 1, nil
}

// A Tail of a stream that says something now and then keeps its connection.
func TestTailPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(r *http.Request, _ int) (int, io.Reader, http.Header) {
			return 200, bound{r.Context(), &slow{}}, http.Header{"X-Pfs-Offset": {"0"}}
		}}
		tail, err := f.dial(t, "n1").Tail(t.Context(), "/tv", client.Oldest)
		if err != nil {
			t.Fatal(err)
		}
		defer tail.Close()
		if b, err := io.ReadAll(tail); len(b) != 10 || err != nil || f.count("") != 1 {
			t.Errorf("%d bytes, %v, %q", len(b), err, f.seen)
		}
	})
}

// A handle is renewed in time for as long as it is open, and no longer than its
// context lasts; a node that does not know it any more is not asked on.
func TestHandleRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone atomic.Bool
		f := &fake{answer: func(r *http.Request, _ int) (int, io.Reader, http.Header) {
			if gone.Load() {
				return 404, strings.NewReader(`{"error":"not found","code":"not_found"}`), nil
			}
			return 200, strings.NewReader(`{"handle_id":17,"lease":60}`), nil
		}}
		c := f.dial(t, "n1")
		open := func(ctx context.Context) *client.Handle {
			h, err := c.OpenHandle(ctx, "/f", os.O_RDWR|os.O_APPEND, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		h := open(t.Context())
		time.Sleep(5*time.Minute + time.Second)
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Minute)
		if n := f.count("POST n1/api/v1/handles/17/renew?lease=60"); n != 15 {
			t.Errorf("renewed %d times in five minutes", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		h = open(ctx)
		cancel()
		if _, err := h.Stat(); !errors.Is(err, context.Canceled) {
			t.Errorf("stat after the end of the context: %v", err)
		}
		if err := h.Close(); err != nil || f.count("DELETE n1/api/v1/handles/17") != 2 {
			t.Errorf("close after the end of the context: %v", err)
		}
		h = open(t.Context())
		gone.Store(true)
		time.Sleep(5 * time.Minute)
		if n := f.count("/renew"); n != 16 {
			t.Errorf("a handle that has gone is renewed: %d", n)
		}
		if err := h.Close(); err != nil {
			t.Errorf("close of a handle that has gone: %v", err)
		}
		if f.count("flags=readwrite%2Cappend") != 3 {
			t.Errorf("requests %q", f.seen[:1])
		}
	})
}

// A Watch of a server that cannot wait looks soon after a change, seldom later,
// and tells each version once.
func TestWatchPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := &fake{answer: func(*http.Request, int) (int, io.Reader, http.Header) {
			switch at := time.Since(began); {
			case at < time.Minute, at > 4*time.Minute && at < 5*time.Minute:
				return 404, strings.NewReader(`{"error":"not found","code":"not_found"}`), nil
			case at < 2*time.Minute:
				return 200, strings.NewReader(`{"name":"f","size":1,"etag":"1"}`), nil
			case at < 3*time.Minute:
				return 200, strings.NewReader(`{"name":"f","size":1,"etag":"2"}`), nil
			case at > 9*time.Minute:
				return 403, strings.NewReader(`{"error":"no","code":"permission"}`), nil
			}
			return 200, strings.NewReader(`{"name":"f","size":2,"etag":"2"}`), nil // a stream that has grown
		}}
		var got []string
		for i, err := range f.dial(t, "n1").Watch(t.Context(), "/f") {
			if err != nil {
				got = append(got, err.Error())
				continue
			}
			got = append(got, i.ETag)
		}
		want := "stat /f: not found 1 2 2 stat /f: not found 2 stat /f: no"
		if s := strings.Join(got, " "); s != want {
			t.Errorf("saw %q, want %q", s, want)
		}
		if n := f.count("/stat"); n < 250 || n > 450 {
			t.Errorf("%d looks in nine minutes", n)
		}
	})
}

// A Watch waits where the server can, and asks once in a minute.
func TestWatchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		change := func() string { return fmt.Sprintf(`"%d"`, 1+time.Since(began)/(10*time.Minute)) }
		f := &fake{answer: func(r *http.Request, _ int) (int, io.Reader, http.Header) {
			wait, err := time.ParseDuration(r.URL.Query().Get("wait"))
			for known := r.Header.Get("If-None-Match"); err == nil && known == change(); wait -= time.Second {
				if wait <= 0 {
					return 304, strings.NewReader(""), nil
				}
				time.Sleep(time.Second)
			}
			return 200, strings.NewReader(fmt.Sprintf(`{"name":"f","etag":%q}`, change())), nil
		}}
		var got []string
		for i, err := range f.dial(t, "n1").Watch(t.Context(), "/f") {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, i.ETag); len(got) == 3 {
				break
			}
		}
		if s := strings.Join(got, " "); s != `"1" "2" "3"` {
			t.Errorf("saw %s", s)
		}
		if n := f.count("/stat"); n > 30 {
			t.Errorf("asked %d times in 20 minutes", n)
		}
	})
}

// A Watch looks while a node has no room for more that wait, and waits again later.
func TestWatchWhereManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := &fake{answer: func(r *http.Request, _ int) (int, io.Reader, http.Header) {
			full := time.Since(began) < 5*time.Minute
			switch waits := r.Header.Get("If-None-Match") != ""; {
			case waits && full:
				return 429, strings.NewReader(`{"error":"1000 reads are waiting already","code":"throttled"}`), http.Header{"Retry-After": {"1"}}
			case waits:
				time.Sleep(time.Minute)
				return 304, strings.NewReader(""), nil
			}
			return 200, strings.NewReader(fmt.Sprintf(`{"name":"f","etag":"%d"}`, 1+time.Since(began)/(2*time.Minute))), nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
		defer cancel()
		var got []string
		for i, err := range f.dial(t, "n1").Watch(ctx, "/f") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, i.ETag)
		}
		if s := strings.Join(got, " "); s != "1 2 3" {
			t.Errorf("saw %s", s)
		}
		if n := f.count("/stat"); n < 60 || n > 300 {
			t.Errorf("asked %d times in 15 minutes", n)
		}
	})
}

// WatchEvery looks at its interval where it cannot wait, sees what changes at once
// where it can, and does not chase a node that ends all waiting.
func TestWatchEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watch := func(f *fake, most int) (n int) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute-time.Millisecond)
			defer cancel()
			for _, err := range f.dial(t, "n1").WatchEvery(ctx, "/f", 5*time.Second) {
				if n++; err != nil || n == most {
					break
				}
			}
			return n
		}
		file := func(etag string) (int, io.Reader, http.Header) {
			return 200, strings.NewReader(`{"name":"f","etag":"` + etag + `"}`), nil
		}
		blind := &fake{answer: func(*http.Request, int) (int, io.Reader, http.Header) { return file("") }}
		if n := watch(blind, 0); n != 1 || blind.count("/stat") != 12 {
			t.Errorf("%d changes, %d looks in a minute", n, blind.count("/stat"))
		}
		began := time.Now()
		busy := &fake{answer: func(_ *http.Request, n int) (int, io.Reader, http.Header) { return file(fmt.Sprint(n)) }}
		if n := watch(busy, 100); n != 100 || time.Since(began) > time.Minute+time.Second {
			t.Errorf("%d changes after %v", n, time.Since(began))
		}
		ending := &fake{answer: func(r *http.Request, _ int) (int, io.Reader, http.Header) {
			if r.Header.Get("If-None-Match") != "" {
				return 304, strings.NewReader(""), nil
			}
			return file("1")
		}}
		if n := watch(ending, 0); n != 1 || ending.count("/stat") > 40 {
			t.Errorf("%d changes, asked %d times in a minute", n, ending.count("/stat"))
		}
	})
}
