package client_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

func open(t *testing.T, c *client.Client, path string, flag int) *client.Handle {
	t.Helper()
	h, err := c.OpenHandle(t.Context(), path, flag, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
	})
	return h
}

// A handle is a file of package os, as far as one can be.
func TestHandle(t *testing.T) {
	_, c := start(t)
	h := open(t, c, "/memfs/f", os.O_RDWR|os.O_CREATE)
	if i, err := c.Stat(t.Context(), "/memfs/f"); err != nil || i.Mode != 0o640 {
		t.Errorf("made %+v, %v", i, err)
	}
	must := func(want int64) func(int64, error) {
		return func(n int64, err error) {
			t.Helper()
			if n != want || err != nil {
				t.Errorf("%d, %v, want %d", n, err, want)
			}
		}
	}
	n := func(n int, err error) (int64, error) { return int64(n), err }
	must(5)(n(h.Write([]byte("hello"))))
	must(7)(n(h.Write([]byte(", world"))))
	must(1)(n(h.WriteAt([]byte("J"), 0)))
	must(12)(h.Seek(0, io.SeekCurrent))
	must(11)(h.Seek(-1, io.SeekEnd))
	must(1)(n(h.Write([]byte("D"))))
	must(3)(h.Seek(3, io.SeekStart))
	b := make([]byte, 6)
	must(6)(n(io.ReadFull(h, b)))
	must(9)(h.Seek(0, io.SeekCurrent))
	if string(b) != "lo, wo" {
		t.Errorf("read %q", b)
	}
	if rest, err := io.ReadAll(h); string(rest) != "rlD" || err != nil {
		t.Errorf("the rest is %q, %v", rest, err)
	}
	if k, err := h.ReadAt(b, 9); k != 3 || err != io.EOF {
		t.Errorf("ReadAt over the end: %d, %v", k, err)
	}
	must(2)(n(h.WriteAt([]byte("!!"), 14)))
	if got := content(t, c, "/memfs/f"); got != "Jello, worlD\x00\x00!!" {
		t.Errorf("file holds %q", got)
	}
	if err := errors.Join(h.Truncate(4), h.Sync(), c.Sync(t.Context())); err != nil {
		t.Error(err)
	}
	if err := c.Rename(t.Context(), "/memfs/f", "/memfs/g"); err != nil {
		t.Fatal(err)
	}
	if i, err := h.Stat(); i.Name != "g" || i.Size != 4 || err != nil {
		t.Errorf("after a rename: %+v, %v", i, err)
	}
	leased(t, c, h)
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{"Read": second(h.Read(b)), "Write": second(h.Write(b)), "Close": h.Close(),
		"Stat": second2(h.Stat()), "Truncate": h.Truncate(0), "Sync": h.Sync(), "Seek": second2(h.Seek(0, 0))} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
}

func second2[T any](_ T, err error) error { return err }

// leased looks at the lease.
func leased(t *testing.T, c *client.Client, h *client.Handle) {
	t.Helper()
	i, err := h.Renew(5 * time.Minute)
	if err != nil || i.Lease != 300 || time.Until(i.Expires) < 4*time.Minute {
		t.Errorf("renewed: %+v, %v", i, err)
	}
	all, err := c.Handles(t.Context())
	if err != nil || len(all) != 1 || all[0].ID != h.ID() || all[0].Path != h.Name() {
		t.Errorf("handles %+v, %v", all, err)
	}
	if i, err := h.Info(); err != nil || i.Flags&2 == 0 || i.Created.IsZero() {
		t.Errorf("info %+v, %v", i, err)
	}
}

// The flags are those of package os.
func TestHandleFlags(t *testing.T) {
	_, c := start(t)
	put(t, c, "/memfs/f", "old")
	if _, err := c.OpenHandle(t.Context(), "/memfs/f", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("exclusive: %v", err)
	}
	if _, err := c.OpenHandle(t.Context(), "/memfs/none", os.O_RDWR, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := c.OpenHandle(t.Context(), "/memfs", os.O_RDONLY, 0); !errors.Is(err, vfs.IsDirectory) {
		t.Errorf("a directory: %v", err)
	}
	r := open(t, c, "/memfs/f", os.O_RDONLY)
	if _, err := r.Write([]byte("x")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("write of one to read: %v", err)
	}
	a := open(t, c, "/memfs/f", os.O_WRONLY|os.O_APPEND)
	put(t, c, "/memfs/f", "longer")
	if _, err := io.WriteString(a, "+"); err != nil {
		t.Error(err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("read of one to write: %v", err)
	}
	if b, err := io.ReadAll(r); string(b) != "longer+" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	open(t, c, "/memfs/f", os.O_RDWR|os.O_TRUNC)
	if got := content(t, c, "/memfs/f"); got != "" {
		t.Errorf("truncated: %q", got)
	}
	for what, err := range map[string]error{"ReadAt": second(r.ReadAt(make([]byte, 1), -1)),
		"WriteAt": second(a.WriteAt([]byte("x"), -1)), "Seek": second2(r.Seek(-1, io.SeekStart)), "whence": second2(r.Seek(0, 9))} {
		if !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := c.Remove(t.Context(), "/memfs/f"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read of what was removed: %v", err)
	}
}

// A handle takes of a queue once, moves long content, and an append whose
// outcome was lost is done once.
func TestHandleContent(t *testing.T) {
	s, _ := start(t)
	c := dial(t, client.Config{URLs: []string{s.URL, s.URL}}) // Retry-After is for the other one
	for _, m := range []string{"one", "two"} {
		if _, err := c.Enqueue(t.Context(), "/queuefs/q", []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	h := open(t, c, "/queuefs/q/dequeue", os.O_RDONLY)
	if b, err := io.ReadAll(h); !bytes.Contains(b, []byte(`"data":"one"`)) || err != nil {
		t.Errorf("took %s, %v", b, err)
	}
	if got := content(t, c, "/queuefs/q/size"); got != "1" {
		t.Errorf("%s messages are left", got)
	}
	long := strings.Repeat("0123456789abcdef", 3<<16) // 3 MiB
	h = open(t, c, "/memfs/long", os.O_RDWR|os.O_CREATE)
	if n, err := io.Copy(h, strings.NewReader(long)); n != int64(len(long)) || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	b := make([]byte, len(long)-7)
	if n, err := h.ReadAt(b, 7); n != len(b) || err != nil || string(b) != long[7:] {
		t.Errorf("%d bytes back, %v", n, err)
	}
	h = open(t, c, "/memfs/log", os.O_WRONLY|os.O_APPEND|os.O_CREATE)
	lost := 0
	s.Node.After(func(r vfs.Request) error {
		if lost++; lost%2 == 1 {
			return &vfs.Unknown{}
		}
		return nil
	})
	for range 3 {
		if _, err := io.WriteString(h, "line\n"); err != nil {
			t.Error(err)
		}
	}
	s.Node.After(nil)
	if got := content(t, c, "/memfs/log"); got != "line\nline\nline\n" || lost != 6 {
		t.Errorf("log holds %q after %d requests", got, lost)
	}
}

// A write to a mount that keeps no keys is not repeated once it may be there: it
// would undo what came after it.
func TestHandleUnsure(t *testing.T) {
	for what, do := range map[string]func(*client.Handle) error{
		"append":   func(h *client.Handle) error { return second(io.WriteString(h, "x")) },
		"write":    func(h *client.Handle) error { return second(h.WriteAt([]byte("x"), 7)) },
		"truncate": func(h *client.Handle) error { return h.Truncate(7) },
	} {
		s := &script{}
		c := dial(t, client.Config{URLs: []string{s.serve(t, answer(200, `{"handle_id":1}`), answer(501, `{"error":"no keys","code":"unsupported"}`),
			answer(503, unknown), answer(200, "{}"))}})
		h := open(t, c, "/f", os.O_WRONLY|os.O_APPEND)
		if err := do(h); !errors.Is(err, client.ErrUnknown) {
			t.Errorf("%s: %v", what, err)
		}
		if r := s.requests(); len(r) != 3 || r[1].key == "" || r[2].key != "" {
			t.Errorf("%s: %+v", what, r)
		}
	}
}

// What a handle takes of a queue is one message, although the answer to the
// first read was lost and another part is asked for then.
func TestHandleTakesOnce(t *testing.T) {
	s, c := start(t)
	for _, m := range []string{"one", "two"} {
		if _, err := c.Enqueue(t.Context(), "/queuefs/q", []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	var lost atomic.Bool
	s.Node.After(func(r vfs.Request) error {
		if r.Ops[0].Verb == vfs.Consume && !lost.Swap(true) {
			return &vfs.Unknown{}
		}
		return nil
	})
	once := dial(t, client.Config{URLs: []string{s.URL}, Retries: -1})
	h := open(t, once, "/queuefs/q/dequeue", os.O_RDONLY)
	if _, err := h.ReadAt(make([]byte, 5), 0); !errors.Is(err, client.ErrUnknown) {
		t.Errorf("the first read: %v", err)
	}
	if b, err := io.ReadAll(h); !bytes.Contains(b, []byte(`"data":"one"`)) || err != nil {
		t.Errorf("took %s, %v", b, err)
	}
	if got := content(t, c, "/queuefs/q/size"); got != "1" {
		t.Errorf("%s messages are left", got)
	}
}

// A try of an open that comes late cuts nothing: to truncate is a change of its
// own, under a key.
func TestHandleTruncatesOnce(t *testing.T) {
	s := &script{}
	c := dial(t, client.Config{URLs: []string{s.serve(t, hangUp, answer(200, `{"handle_id":1}`), hangUp, answer(200, "{}"))}})
	open(t, c, "/f", os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	r := s.requests()
	if len(r) != 4 || strings.Contains(r[0].target+r[1].target, "truncate") || !strings.Contains(r[3].target, "/handles/1/truncate?size=0") ||
		r[2].key == "" || r[3].key != r[2].key {
		t.Errorf("%+v", r)
	}
	for _, flag := range []int{os.O_RDWR | os.O_CREATE | os.O_EXCL, os.O_RDWR | os.O_CREATE | os.O_EXCL | os.O_TRUNC} {
		s := &script{}
		c := dial(t, client.Config{URLs: []string{s.serve(t, hangUp)}})
		if _, err := c.OpenHandle(t.Context(), "/f", flag, 0o600); !errors.Is(err, client.ErrUnknown) || len(s.requests()) != 1 {
			t.Errorf("%v after %d requests", err, len(s.requests()))
		}
	}
	s = &script{}
	c = dial(t, client.Config{URLs: []string{s.serve(t, answer(200, `{"handle_id":1}`), answer(403, `{"error":"no","code":"permission"}`), answer(200, "{}"))}})
	if _, err := c.OpenHandle(t.Context(), "/f", os.O_WRONLY|os.O_TRUNC, 0); !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
	if r := s.requests(); len(r) != 3 || r[2].method != "DELETE" {
		t.Errorf("a handle that could not be truncated stays open: %+v", r)
	}
}
