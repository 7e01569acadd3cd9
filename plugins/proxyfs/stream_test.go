package proxyfs_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/plugins/proxyfs"
	"github.com/pfs-project/pfs/plugins/streamfs"
	"github.com/pfs-project/pfs/vfs"
)

func hears(t *testing.T, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(r, b); err != nil || string(b) != want {
		t.Fatalf("heard %.80q, %v; want %.80q", b[:n], err, want)
	}
}

// tune follows a stream of the mount.
func tune(t *testing.T, fs *proxyfs.FS, p vfs.Path, from string, at int64) io.ReadCloser {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r, off, err := fs.Tune(ctx, p, from)
	if err != nil || off != at {
		t.Fatalf("%s from %s: offset %d, %v", p, from, off, err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// Streams of the server are followed as they are there, from any place, for
// longer than any call may take, and end with them.
func TestStreams(t *testing.T) {
	t.Parallel() // it waits
	s := apitest.Start(t, apitest.Config{Plugins: []vfs.Plugin{memfs.Plugin(), streamfs.Plugin()}, Level: true,
		Mounts: map[string]string{"/m": "memfs"}})
	s.Mount(t, "/s", "streamfs", vfs.Config{"buffer_size": "64KB"})
	fs, err := start(t, vfs.Env{}, vfs.Config{"base_url": s.URL, "timeout": "4s"})
	if err != nil {
		t.Fatal(err)
	}
	sayTo := func(p vfs.Path, text string) {
		t.Helper()
		_, err := fs.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: p, Flag: vfs.FlagCreate | vfs.FlagTruncate}, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
	}
	say := func(text string) { t.Helper(); sayTo("/s/tv", text) }
	early := tune(t, fs, "/s/tv", "oldest", 0) // there is no stream yet
	say("one")
	hears(t, early, "one")
	now, second := tune(t, fs, "/s/tv", "now", 3), tune(t, fs, "/s/tv", "1", 1)
	<-time.After(5 * time.Second) // longer than a call may take
	say("two")
	hears(t, early, "two")
	hears(t, now, "two")
	hears(t, second, "netwo")
	for p, kind := range map[vfs.Path]vfs.Kind{"/m/README": vfs.NotFound, "/reload": vfs.Unsupported, "/s": vfs.IsDirectory} {
		if _, _, err := fs.Tune(t.Context(), p, "oldest"); vfs.KindOf(err) != kind {
			t.Errorf("%s: %v", p, err)
		}
	}
	sayTo("/s/long", strings.Repeat("x", 70<<10))
	if _, off, err := fs.Tune(t.Context(), "/s/long", "0"); vfs.KindOf(err) != vfs.Range || off != 6<<10 {
		t.Errorf("bytes that are gone: %d, %v", off, err)
	}
	if _, err := fs.Do(t.Context(), vfs.Op{Verb: vfs.Remove, Path: "/s/tv"}); err != nil {
		t.Fatal(err)
	}
	for _, r := range []io.Reader{early, now, second} {
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Errorf("the end of the stream: %v", err)
		}
	}
}

// A server that sends no head before the first byte is waited for by the reader,
// not by the call; one that does not say what it sends is not asked for a part.
func TestStreamsWithoutHead(t *testing.T) {
	t.Parallel() // it waits
	speak := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("stream") == "" {
			fmt.Fprint(w, `{"name":"/","isDir":true}`)
			return
		}
		select {
		case <-speak:
			fmt.Fprint(w, "at last")
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	fs, err := start(t, vfs.Env{}, vfs.Config{"base_url": s.URL, "timeout": "3s"})
	if err != nil {
		t.Fatal(err)
	}
	r := tune(t, fs, "/tv", client.Oldest, -1)
	for range 5 { // the server is not thought to be gone
		if _, err := fs.Stat(t.Context(), nil, "/x"); err != nil {
			t.Fatal(err)
		}
	}
	tune(t, fs, "/tv", client.Oldest, -1).Close() // does not wait for it
	if _, _, err := fs.Tune(t.Context(), "/tv", client.Now); vfs.KindOf(err) != vfs.Unavailable {
		t.Error(err)
	}
	close(speak)
	hears(t, r, "at last")
	if _, _, err := fs.Tune(t.Context(), "/tv", "7"); vfs.KindOf(err) != vfs.Unsupported || !strings.Contains(err.Error(), "does not say") {
		t.Error(err)
	}
	s.Close()
	if _, _, err := fs.Tune(t.Context(), "/tv", client.Oldest); vfs.KindOf(err) != vfs.Unavailable {
		t.Error(err)
	}
}
