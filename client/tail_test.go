package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/plugins/streamfs"
	"github.com/pfs-project/pfs/vfs"
)

func startStreams(t *testing.T, config vfs.Config) (*apitest.Server, *client.Client) {
	t.Helper()
	s := apitest.Start(t, apitest.Config{Plugins: []vfs.Plugin{streamfs.Plugin()}, Level: true})
	s.Mount(t, "/s", "streamfs", config)
	return s, dial(t, client.Config{URLs: []string{s.URL}})
}

// A Tail gives every byte once, over connections of which each breaks, and ends
// where the stream does.
func TestTail(t *testing.T) {
	s, w := startStreams(t, nil)
	c := dial(t, client.Config{URLs: []string{apitest.Cut(t, s.URL, 7), s.URL + "/"}})
	put(t, w, "/s/tv", "line 0\n")
	tail, err := c.Tail(t.Context(), "/s/tv", "5")
	if err != nil || tail.Offset() != 5 {
		t.Fatal(err)
	}
	defer tail.Close()
	r := bufio.NewReader(tail)
	if l, err := r.ReadString('\n'); l != "0\n" || err != nil {
		t.Fatalf("%q, %v", l, err)
	}
	a := w.NewAppender(t.Context(), "/s/tv")
	for i := 1; i <= 12; i++ {
		want := fmt.Sprintf("line %d of the stream\n", i)
		if _, err := io.WriteString(a, want); err != nil {
			t.Fatal(err)
		}
		if l, err := r.ReadString('\n'); l != want || err != nil {
			t.Fatalf("%q, %v", l, err)
		}
	}
	if i, err := w.Stat(t.Context(), "/s/tv"); err != nil || tail.Offset() != i.Size {
		t.Errorf("at %d of %d, %v", tail.Offset(), i.Size, err)
	}
	if err := w.Remove(t.Context(), "/s/tv"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); len(b) != 0 || err != nil {
		// the connection may break just then: the stream is another one now
		var g *client.Gap
		if !errors.As(err, &g) {
			t.Errorf("after the end: %q, %v", b, err)
		}
	}
	if err := tail.Close(); err != nil {
		t.Error(err)
	}
	for _, err := range []error{tail.Close(), second(tail.Read(make([]byte, 1)))} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
	}
}

// What a Tail has missed is an error that says so, once, and it goes on behind.
func TestTailGap(t *testing.T) {
	_, c := startStreams(t, vfs.Config{"buffer_size": "64KB"})
	put(t, c, "/s/tv", strings.Repeat("a", 200<<10))
	tail, err := c.Tail(t.Context(), "/s/tv", "7")
	var g *client.Gap
	if !errors.As(err, &g) || !errors.Is(err, client.ErrCompacted) || g.From != 7 || g.Oldest <= 7 {
		t.Fatalf("%v, %v", tail, err)
	}
	if _, err := c.Tail(t.Context(), "/s/tv", fmt.Sprint(1<<40)); !errors.As(err, &g) || g.From != 1<<40 {
		t.Errorf("beyond the end: %v", err)
	}
	if _, err := c.Tail(t.Context(), "/s/tv", "elsewhere"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("from nowhere: %v", err)
	}
	if _, err := c.Tail(t.Context(), "/no/stream", client.Oldest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no stream: %v", err)
	}
	s := &script{}
	url := s.serve(t,
		answer(200, "ab", "X-Pfs-Offset", "10", "Content-Length", "9"), // cut off
		answer(416, `{"error":"e","code":"range","oldest":90}`), answer(416, `{"error":"e","code":"range","oldest":90}`),
		answer(503, noLeader), answer(200, "cd", "X-Pfs-Offset", "90"))
	if tail, err = dial(t, client.Config{URLs: []string{url}}).Tail(t.Context(), "/tv", "10"); err != nil {
		t.Fatal(err)
	}
	defer tail.Close()
	b, err := io.ReadAll(tail)
	if string(b) != "ab" || !errors.As(err, &g) || g.From != 12 || g.Oldest != 90 {
		t.Fatalf("%q, %v", b, err)
	}
	if b, err = io.ReadAll(tail); string(b) != "cd" || err != nil || tail.Offset() != 92 {
		t.Errorf("%q, %v", b, err)
	}
	if r := s.requests(); !strings.Contains(r[1].target, "from=12") || strings.Contains(r[1].target, "linearizable") ||
		!strings.Contains(r[2].target, "consistency=linearizable") || !strings.Contains(r[4].target, "from=90") {
		t.Errorf("%+v", r)
	}
}

// A Tail waits for what comes, and ends with its context.
func TestTailContext(t *testing.T) {
	_, c := startStreams(t, nil)
	put(t, c, "/s/tv", "old")
	ctx, cancel := context.WithCancel(t.Context())
	tail, err := c.Tail(ctx, "/s/tv", client.Now)
	if err != nil || tail.Offset() != 3 {
		t.Fatal(err)
	}
	defer tail.Close()
	put(t, c, "/s/tv", "new")
	b := make([]byte, 9)
	if n, err := io.ReadAtLeast(tail, b, 3); string(b[:n]) != "new" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	time.AfterFunc(10*time.Millisecond, cancel)
	if n, err := tail.Read(b); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d, %v", n, err)
	}
}
