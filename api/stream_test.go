package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/plugins/streamfs"
	"github.com/pfs-project/pfs/vfs"
)

const tv = v1 + "/files?path=/s/tv"

func streams(t *testing.T) *apitest.Server {
	s := apitest.Start(t, apitest.Config{Plugins: []vfs.Plugin{streamfs.Plugin(), memfs.Plugin()}, Level: true})
	s.Mount(t, "/s", "streamfs", vfs.Config{"buffer_size": "64KB"})
	s.Mount(t, "/m", "memfs", nil)
	return s
}

// tune follows a stream; the head of the answer has come when it returns.
func tune(t *testing.T, s *apitest.Server, target string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 {
		t.Fatalf("%s: %d", target, resp.StatusCode)
	}
	return resp
}

func hears(t *testing.T, r *http.Response, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(r.Body, b); err != nil || string(b) != want {
		t.Fatalf("heard %.80q (%d bytes), %v; want %.80q", b[:n], n, err, want)
	}
}

func TestFollow(t *testing.T) {
	s := streams(t)
	early := tune(t, s, tv+"&stream=true") // before there is a stream
	if a := s.Do(t, "GET", v1+"/stat?path=/s/tv", ""); a.Status != 404 {
		t.Errorf("a reader made a stream: %+v", a)
	}
	s.Do(t, "PUT", tv, "one ")
	first := tune(t, s, tv+"&stream=true")
	now := tune(t, s, tv+"&stream=true&from=now")
	at := tune(t, s, tv+"&stream=true&from=2")
	if a := s.Do(t, "GET", v1+"/stat?path=/s/tv", ""); !strings.Contains(a.Body, `"active_readers":"4"`) && !strings.Contains(a.Body, `"active_readers":"3"`) {
		t.Errorf("readers: %+v", a) // the early one may not have heard of it yet
	}
	for r, want := range map[*http.Response]string{early: "0", first: "0", now: "4", at: "2"} {
		if got := r.Header.Get("X-Pfs-Offset"); got != want {
			t.Errorf("begins at %s, want %s", got, want)
		}
	}
	s.Do(t, "PUT", tv, "two ")
	s.Do(t, "PUT", tv+"&flags=append", "three")
	for r, want := range map[*http.Response]string{early: "one two three", first: "one two three", now: "two three", at: "e two three"} {
		hears(t, r, want)
	}
	s.Do(t, "DELETE", tv, "")
	for _, r := range []*http.Response{early, first, now, at} {
		if b, err := io.ReadAll(r.Body); len(b) > 0 || err != nil {
			t.Errorf("after the end: %q, %v", b, err)
		}
	}
}

func TestFollowRefuses(t *testing.T) {
	s := streams(t)
	s.Do(t, "PUT", tv, strings.Repeat("x", 100<<10))
	s.Do(t, "PUT", v1+"/files?path=/m/f", "x")
	s.Do(t, "PUT", v1+"/files?path=/s/d/x", "x")
	for target, want := range map[string]string{
		tv + "&stream=true&from=100":                `416 "oldest":36864`,
		tv + "&stream=true&from=102401":             `416 "oldest":36864`,
		tv + "&stream=true&from=soon":               "400 from must be oldest, now, or an offset",
		tv:                                          "400 use stream mode for reading stream files",
		v1 + "/files?path=/s/d&stream=true":         "400 is a directory",
		v1 + "/files?path=/m/f&stream=true":         "404 filesystem does not support streaming: /m/f",
		v1 + "/files?path=/m/no&stream=true":        "404 not found",
		v1 + "/files?path=/s/tv/x&stream=true":      "400 not a directory",
		v1 + "/files?path=/s/README&stream=true":    "404 does not support streaming",
		v1 + "/files?path=/s/no&stream=true&from=5": `416 "oldest":0`,
	} {
		status, text, _ := strings.Cut(want, " ")
		if a := s.Do(t, "GET", target, ""); fmt.Sprint(a.Status) != status || !strings.Contains(a.Body, text) {
			t.Errorf("%s: %d %s", target, a.Status, a.Body)
		}
	}
	if a := s.Do(t, "PUT", tv+"&offset=0", "x"); a.Status != 400 {
		t.Errorf("offset: %+v", a)
	}
	if a := s.Do(t, "HEAD", tv+"&stream=true", ""); a.Status != 200 || a.Header.Get("X-Pfs-Offset") != "36864" {
		t.Errorf("HEAD: %+v", a)
	}
}

// TestStalledReader falls behind the ring: what it hears is right as far as it
// goes, and then the body is cut off.
func TestStalledReader(t *testing.T) {
	s := streams(t)
	s.Do(t, "PUT", tv, "")
	r := tune(t, s, tv+"&stream=true")
	block := make([]byte, 256<<10)
	for i := range 64 { // more than sockets and ring hold
		for j := range block {
			block[j] = byte(i + j/251)
		}
		if a := s.Do(t, "PUT", tv, string(block)); a.Status != 200 {
			t.Fatalf("%+v", a)
		}
	}
	got, err := io.ReadAll(r.Body)
	if err == nil || len(got) >= 64*len(block) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for k := range got {
		if i, j := k/len(block), k%len(block); got[k] != byte(i+j/251) {
			t.Fatalf("byte %d is wrong", k)
		}
	}
	next := tune(t, s, tv+"&stream=true")
	hears(t, next, string(block[len(block)-64<<10:]))
}

// TestStreamRemovedUnread removes a stream while a reader stands still that has not
// had all of it: its body does not end as if it had.
func TestStreamRemovedUnread(t *testing.T) {
	s := streams(t)
	s.Mount(t, "/long", "streamfs", vfs.Config{"buffer_size": "64MB"})
	const path = v1 + "/files?path=/long/tv"
	block := strings.Repeat("0123456789abcdef", 1<<16)
	for range 48 { // more than sockets hold
		if a := s.Do(t, "PUT", path, block); a.Status != 200 {
			t.Fatalf("%+v", a)
		}
	}
	r := tune(t, s, path+"&stream=true")
	hears(t, r, block[:16])
	s.Do(t, "DELETE", path, "")
	n, err := io.Copy(io.Discard, r.Body)
	if err == nil || n+16 >= int64(48*len(block)) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestStreamBody sends a body byte by byte, without an end: readers hear it as
// it comes, and a body that is cut off leaves what had come.
func TestStreamBody(t *testing.T) {
	s := streams(t)
	pr, pw := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), "PUT", s.URL+tv, pr)
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		sent <- err
	}()
	r := tune(t, s, tv+"&stream=true")
	for _, word := range []string{"a", "bc", strings.Repeat("d", 40<<10), strings.Repeat("e", 60<<10), "f"} {
		if _, err := pw.Write([]byte(word)); err != nil {
			t.Fatal(err)
		}
		hears(t, r, word)
	}
	pw.CloseWithError(io.ErrUnexpectedEOF)
	if err := <-sent; err == nil {
		t.Error("a body that was cut off has an answer")
	}
	long := bytes.Repeat([]byte("0123456789abcdef"), 3<<16)
	if a := s.Do(t, "PUT", tv, string(long)); a.Status != 200 || !strings.Contains(a.Body, fmt.Sprintf("Written %d bytes", len(long))) {
		t.Errorf("%+v", a)
	}
	hears(t, tune(t, s, tv+"&stream=true"), string(long[len(long)-64<<10:]))
	for range 2 {
		if a := s.Do(t, "PUT", tv, "once", "Idempotency-Key", "k"); a.Status != 200 {
			t.Errorf("%+v", a)
		}
	}
	hears(t, tune(t, s, tv+fmt.Sprintf("&stream=true&from=%d", 3+100<<10+1+len(long))), "once")
	if a := s.Do(t, "GET", v1+"/stat?path=/s/tv", ""); !strings.Contains(a.Body, fmt.Sprintf(`"total_written":"%d"`, 3+100<<10+1+len(long)+4)) {
		t.Errorf("%+v", a)
	}
}

// TestHandleOfAStream follows a stream from where a handle stands.
func TestHandleOfAStream(t *testing.T) {
	s := streams(t)
	s.Do(t, "PUT", tv, "one two")
	var h struct {
		ID uint64 `json:"handle_id"`
	}
	a := s.Do(t, "POST", v1+"/handles/open?path=/s/tv&flags=0", "")
	if err := json.Unmarshal([]byte(a.Body), &h); err != nil || a.Status != 200 {
		t.Fatalf("%+v: %v", a, err)
	}
	at := fmt.Sprintf("%s/handles/%d", v1, h.ID)
	hears(t, tune(t, s, at+"/stream"), "one two")
	if a := s.Do(t, "GET", at+"/read?size=4", ""); a.Body != "one " {
		t.Errorf("%+v", a)
	}
	hears(t, tune(t, s, at+"/stream"), "two")
}

// TestStreamsEnd: the end of the mount is the end of its streams, and a node
// that stops cuts its readers off.
func TestStreamsEnd(t *testing.T) {
	s := streams(t)
	s.Do(t, "PUT", tv, "x")
	r := tune(t, s, tv+"&stream=true")
	hears(t, r, "x")
	if a := s.Do(t, "POST", v1+"/unmount", `{"path":"/s"}`); a.Status != 200 {
		t.Fatalf("%+v", a)
	}
	if b, err := io.ReadAll(r.Body); err != nil {
		t.Errorf("%q, %v", b, err)
	}
	s.Mount(t, "/s", "streamfs", nil)
	r = tune(t, s, tv+"&stream=true")
	hears(t, r, "x")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.API.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(r.Body); err == nil {
		t.Error("a reader of a node that stops sees the end of the stream")
	}
}
