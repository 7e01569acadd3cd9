package remote

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// against returns a Device over a server, with little patience.
func against(t *testing.T, h http.HandlerFunc) *FS {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	cl, err := client.New(client.Config{URLs: []string{s.URL}, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return New(Config{Name: "node n2", Root: "/m", Verbs: vfs.Verbs(vfs.Mkdir, vfs.Write), Sibling: true, Timeout: 200 * time.Millisecond,
		Dial: func() (*client.Client, error) { return cl, nil }})
}

// A server that takes requests and answers none costs each call its time and no
// more. Of a change nobody knows then whether it was made.
func TestSilence(t *testing.T) {
	hang := make(chan struct{})
	f := against(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else its end is not seen
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	defer close(hang)
	ctx := t.Context()
	for what, call := range map[string]func() error{
		"stat": func() error { _, err := f.Stat(ctx, nil, "/x"); return err },
		"list": func() error { _, err := f.List(ctx, nil, "/x", "", 0); return err },
		"read": func() error { _, err := f.ReadAt(ctx, nil, "/x", make([]byte, 5), 0); return err },
		"open": func() error { _, err := f.Stream(ctx, "/x", 7, 0); return err },
		"do":   func() error { _, err := f.Do(ctx, vfs.Op{Verb: vfs.Mkdir, Path: "/x"}); return err },
		"put": func() error {
			_, err := f.Put(ctx, vfs.Op{Verb: vfs.Write, Path: "/x"}, strings.NewReader("x"))
			return err
		},
	} {
		start := time.Now()
		err := call()
		if took := time.Since(start); took > 20*time.Second || vfs.KindOf(err) != vfs.Unavailable || !strings.Contains(err.Error(), "node n2 does not answer") {
			t.Errorf("%s after %v: %v", what, took, err)
		}
		var unknown *vfs.Unknown
		if change := what == "do" || what == "put"; errors.As(err, &unknown) != change {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Content that stands still is given up; a client that sends slowly is not the
// server's fault, and neither is one that reads slowly.
func TestStandingStill(t *testing.T) {
	t.Parallel() // it waits
	hang := make(chan struct{})
	f := against(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			n, _ := io.Copy(io.Discard, r.Body) // shown below
			if n != 30 {
				t.Errorf("%d bytes came", n)
			}
			_, _ = io.WriteString(w, `{"message":"Written 30 bytes"}`)
			return
		}
		_, _ = io.WriteString(w, "beginning")
		w.(http.Flusher).Flush()
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	defer close(hang)
	f.c.Timeout = 2 * time.Second // longer than a busy machine takes to answer
	r, err := f.Stream(t.Context(), "/x", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 9)
	<-time.After(3 * f.c.Timeout)
	if _, err := io.ReadFull(r, b); err != nil || string(b) != "beginning" {
		t.Errorf("%q, %v", b, err)
	}
	start := time.Now()
	_, err = r.Read(b)
	if took := time.Since(start); err == nil || err == io.EOF || took > 20*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	_ = r.Close() // it has failed already
	slow := &slowReader{wait: f.c.Timeout, left: 3}
	if res, err := f.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/x"}, slow); err != nil || res.N != 30 {
		t.Errorf("a slow client: %+v, %v", res, err)
	}
	if _, err := f.Stat(vfs.WithHop(t.Context()), nil, "/x"); vfs.KindOf(err) != vfs.Unavailable {
		t.Errorf("a request from another node is sent on: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Stream(ctx, "/x", 0, 0); err == nil {
		t.Error("who has left is served")
	}
}

// slowReader gives ten bytes at a time, and takes longer for them than a server
// may.
type slowReader struct {
	wait time.Duration
	left int
}

func (s *slowReader) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	<-time.After(s.wait + s.wait/2)
	s.left--
	return copy(b, "0123456789"), nil
}

// After three calls without an answer the next ones do not wait. Once the server
// is back, one that finds out opens the way for all.
func TestBreaker(t *testing.T) {
	var well atomic.Bool
	f := against(t, func(w http.ResponseWriter, r *http.Request) {
		if !well.Load() {
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, `{"name":"x"}`)
	})
	f.b.tries = 3
	call := func() error { _, err := f.Stat(t.Context(), nil, "/x"); return err }
	for range 3 {
		if err := call(); err == nil || strings.Contains(err.Error(), "asked again") {
			t.Error(err)
		}
	}
	for begun, asked, n := time.Now(), 0, 0; n < 100; n++ {
		err := call()
		if vfs.KindOf(err) != vfs.Unavailable {
			t.Fatal(err)
		}
		if strings.Contains(err.Error(), "asked again in") {
			continue
		}
		if asked++; asked > 1+int(time.Since(begun)/time.Second) { // one, each time that a pause is over
			t.Fatalf("%d calls have waited after %v: %v", asked, time.Since(begun), err)
		}
	}
	well.Store(true)
	for start := time.Now(); call() != nil; <-time.After(50 * time.Millisecond) {
		if time.Since(start) > 30*time.Second {
			t.Fatal("the server is back, and not asked")
		}
	}
	if err := call(); err != nil && strings.Contains(err.Error(), "asked again") {
		t.Error(err)
	}
}
