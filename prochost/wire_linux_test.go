package prochost

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// far is a server that answers the nth request of all with answers[n] and, if that is
// "", closes the connection without one.
type far struct {
	wires
	conns, requests atomic.Int64
}

const okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func newFar(t *testing.T, answers ...string) *far {
	t.Helper()
	where := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", where)
	if err != nil {
		t.Fatal(err)
	}
	f := &far{}
	f.dial = func(ctx context.Context) (net.Conn, error) {
		f.conns.Add(1)
		var d net.Dialer
		return d.DialContext(ctx, "unix", where)
	}
	t.Cleanup(func() {
		f.close()
		l.Close()
	})
	serve := func(c net.Conn) {
		defer c.Close()
		for r := bufio.NewReader(c); ; {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			n := int(f.requests.Add(1)) - 1
			if n >= len(answers) || answers[n] == "" {
				return
			}
			text, last := strings.CutSuffix(answers[n], "END")
			if _, err := io.WriteString(c, text); err != nil || last {
				return
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return f
}

// ask makes a request with a body.
func (f *far) ask(t *testing.T, change bool) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://plugin/", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	status, b, err := f.short(req, func(int) int64 { return 10 }, change)
	return status, string(b), err
}

// Connections are used again as long as nothing speaks against it, and what a closed one
// costs depends on what was asked.
func TestWires(t *testing.T) {
	for name, c := range map[string]struct {
		answers         []string
		change          bool
		conns, requests int64
		fails           bool // the second request does
	}{
		"kept":                 {[]string{okay, okay}, true, 1, 2, false},
		"in pieces":            {[]string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", okay}, true, 1, 2, false},
		"closed after it":      {[]string{okay + "END", okay}, true, 2, 2, false},
		"says so":              {[]string{strings.Replace(okay, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1), okay}, true, 2, 2, false},
		"more than was asked":  {[]string{okay + okay, okay}, true, 2, 2, false},
		"hints first":          {[]string{"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + okay, okay}, true, 1, 2, false},
		"no answer, a reading": {[]string{okay, "", okay}, false, 2, 3, false},
		"no answer, a change":  {[]string{okay, "", okay}, true, 1, 2, true},
		"hints without an end": {[]string{okay, strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100)}, true, 1, 2, true},
		"an endless head":      {[]string{okay, "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n"}, true, 1, 2, true},
		"half a body":          {[]string{okay, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalfEND"}, true, 1, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFar(t, c.answers...)
			if status, b, err := f.ask(t, c.change); status != 200 || b != "ok" || err != nil {
				t.Fatalf("%d %q, %v", status, b, err)
			}
			if strings.HasSuffix(c.answers[0], "END") || c.conns == 2 && c.change {
				soon(t, "the other side has done what it does", func() bool {
					f.mu.Lock()
					defer f.mu.Unlock()
					return len(f.idle) == 0 || f.idle[0].r.Buffered() > 0 || !silent(f.idle[0].Conn)
				})
			}
			if status, b, err := f.ask(t, c.change); (err != nil) != c.fails || err == nil && (status != 200 || b != "ok") {
				t.Errorf("%d %q, %v", status, b, err)
			}
			if f.conns.Load() != c.conns || f.requests.Load() != c.requests {
				t.Errorf("%d connections for %d requests", f.conns.Load(), f.requests.Load())
			}
		})
	}
}

// A body that is too long is not taken whole, and its connection is not used again.
func TestLongAnswer(t *testing.T) {
	f := newFar(t, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"+strings.Repeat("x", 1000), okay)
	if _, b, err := f.ask(t, false); len(b) != 11 || err != nil {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, b, err := f.ask(t, false); b != "ok" || err != nil || f.conns.Load() != 2 {
		t.Errorf("%q, %v, %d connections", b, err, f.conns.Load())
	}
}

// Nobody waits for the rest of a body that is too long, which may have no end.
func TestEndlessAnswer(t *testing.T) {
	for _, way := range []string{"Content-Length: 1000000000", "Transfer-Encoding: chunked\r\n\r\n3b9aca00"} {
		f := newFar(t, "HTTP/1.1 200 OK\r\n"+way+"\r\n\r\n"+strings.Repeat("x", 100))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://plugin/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, b, err := f.short(req, func(int) int64 { return 10 }, false); len(b) != 11 || err != nil || ctx.Err() != nil {
			t.Errorf("%s: %d bytes, %v, %v", way, len(b), err, ctx.Err())
		}
	}
}

// Who does not wait any more gets no answer, and nobody else gets it.
func TestGoneAsker(t *testing.T) {
	f := newFar(t, okay, "HTTP/1.1 200 OK\r\n", okay)
	if _, _, err := f.ask(t, false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://plugin/", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for f.requests.Load() < 2 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, _, err := f.short(req, func(int) int64 { return 10 }, false); err == nil || !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("it waits for what does not come: %v", err)
	}
	if _, b, err := f.ask(t, false); b != "ok" || err != nil || f.conns.Load() != 2 {
		t.Errorf("%q, %v, %d connections", b, err, f.conns.Load())
	}
}
