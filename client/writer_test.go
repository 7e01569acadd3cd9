package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

func content(t *testing.T, c *client.Client, path string) string {
	t.Helper()
	b, err := c.ReadFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func put(t *testing.T, c *client.Client, path, data string) client.Written {
	t.Helper()
	w, err := c.WriteFile(t.Context(), path, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// What a Writer is given is there after Close, not before, and not at all after
// Abort or the end of its context, whether it was held or streamed.
func TestWriter(t *testing.T) {
	_, c := start(t)
	for _, size := range []int{0, 10, 256 << 10, 256<<10 + 1, 9 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			data := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
			p := fmt.Sprintf("/memfs/w%d", size)
			put(t, c, p, "old")
			fill := func(ctx context.Context) *client.Writer {
				w := c.NewWriter(ctx, p)
				if n, err := io.Copy(w, onlyReader{bytes.NewReader(data)}); n != int64(size) || err != nil {
					t.Fatalf("%d bytes taken, %v", n, err)
				}
				if got := content(t, c, p); got != "old" {
					t.Errorf("before Close there are %d bytes", len(got))
				}
				return w
			}
			w := fill(t.Context())
			w.Abort()
			if err := w.Close(); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("Close after Abort: %v", err)
			}
			if _, err := w.Write([]byte("x")); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("Write after Abort: %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			w = fill(ctx)
			cancel()
			if err := w.Close(); !errors.Is(err, context.Canceled) {
				t.Errorf("Close after the end of the context: %v", err)
			}
			if got := content(t, c, p); got != "old" {
				t.Errorf("after two writes that were given up there are %d bytes", len(got))
			}
			w = fill(t.Context())
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if got := content(t, c, p); got != string(data) {
				t.Errorf("%d bytes are there, want %d", len(got), size)
			}
			if i, err := c.Stat(t.Context(), p); err != nil || w.Written().ETag != `"`+strings.Trim(i.ETag, `"`)+`"` {
				t.Errorf("written %+v, there is %s, %v", w.Written(), i.ETag, err)
			}
			if err := w.Close(); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("Close again: %v", err)
			}
		})
	}
}

// Abort by another goroutine ends a Write that waits, and comes in anywhere.
func TestWriterAbortedByAnother(t *testing.T) {
	_, c := start(t)
	put(t, c, "/memfs/f", "old")
	part := make([]byte, 100<<10)
	for i := range 20 {
		w := c.NewWriter(t.Context(), "/memfs/f")
		begun, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			<-begun
			w.Abort()
		}()
		for n := 0; ; n++ {
			if n == i%5 {
				close(begun)
			}
			if _, err := w.Write(part); err != nil {
				break
			}
		}
		<-ended
		if err := w.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Close after Abort: %v", err)
		}
	}
	if got := content(t, c, "/memfs/f"); got != "old" {
		t.Errorf("%d bytes are there", len(got))
	}
}

// A Writer writes what its options say, and tells what was refused.
func TestWriterOptions(t *testing.T) {
	_, c := start(t)
	long := strings.Repeat("x", 1<<20)
	write := func(path, data string, opts ...client.Option) error {
		w := c.NewWriter(t.Context(), path, opts...)
		if _, err := io.WriteString(w, data); err != nil {
			w.Abort()
			return err
		}
		return w.Close()
	}
	for _, data := range []string{"short", long} {
		v := put(t, c, "/memfs/f", "first")
		put(t, c, "/memfs/f", "second")
		if err := write("/memfs/f", data, client.IfMatch(v.ETag)); !errors.Is(err, client.ErrPrecondition) {
			t.Errorf("%d bytes over another version: %v", len(data), err)
		}
		if err := write("/memfs/f", data, client.Append()); err != nil {
			t.Error(err)
		}
		if got := content(t, c, "/memfs/f"); got != "second"+data {
			t.Errorf("appended: %d bytes", len(got))
		}
		err := write("/memfs/none/f", data)
		if !errors.Is(err, fs.ErrNotExist) || client.RequestID(err) == "" {
			t.Errorf("%d bytes into no directory: %v (request %q)", len(data), err, client.RequestID(err))
		}
	}
}

// Appends of several writers are whole, and each is there once.
func TestAppender(t *testing.T) {
	s, _ := start(t)
	c := dial(t, client.Config{URLs: []string{s.URL, s.URL}}) // Retry-After is for the other one
	lost := map[string]bool{}
	s.Node.After(func(r vfs.Request) error { // each outcome is lost once
		if k := r.Key; k != "" && !lost[k] {
			lost[k] = true
			return &vfs.Unknown{}
		}
		return nil
	})
	a := c.NewAppender(t.Context(), "/memfs/log")
	log := slog.New(slog.NewTextHandler(a, nil))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 5 {
				log.Info("done", "who", i, "what", j)
			}
		})
	}
	wg.Wait()
	if n, err := a.ReadFrom(strings.NewReader(strings.Repeat("y", 100<<10))); n != 100<<10 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	s.Node.After(nil)
	lines := strings.SplitAfter(content(t, c, "/memfs/log"), "\n")
	if len(lines) != 21 || lines[20] != strings.Repeat("y", 100<<10) {
		t.Fatalf("%d lines, the last of %d bytes", len(lines), len(lines[len(lines)-1]))
	}
	seen := map[string]bool{}
	for _, l := range lines[:20] {
		_, what, ok := strings.Cut(l, "who=")
		if !ok || seen[what] || !strings.HasPrefix(l, "time=") {
			t.Errorf("line %q", l)
		}
		seen[what] = true
	}
	if len(lost) < 22 {
		t.Errorf("%d outcomes were lost, not one of each write", len(lost))
	}
}

// Update loses no write of others, and makes a file that is not there.
func TestUpdate(t *testing.T) {
	_, c := start(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if _, err := c.Update(t.Context(), "/memfs/sum", func(old []byte) ([]byte, error) {
					return append(old, '.'), nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := content(t, c, "/memfs/sum"); got != strings.Repeat(".", 40) {
		t.Errorf("%d of 40 changes are there", len(got))
	}
	no := errors.New("no")
	if _, err := c.Update(t.Context(), "/memfs/sum", func([]byte) ([]byte, error) { return nil, no }); !errors.Is(err, no) {
		t.Error(err)
	}
	var got [][]byte
	for _, n := range []string{"missing", "empty"} {
		if n == "empty" {
			put(t, c, "/memfs/empty", "")
		}
		if _, err := c.Update(t.Context(), "/memfs/"+n, func(old []byte) ([]byte, error) { got = append(got, old); return old, nil }); err != nil {
			t.Error(err)
		}
	}
	if got[0] != nil || got[1] == nil || len(got[1]) != 0 {
		t.Errorf("missing is %v, empty %v", got[0], got[1])
	}
	if _, err := c.Update(t.Context(), "/queuefs/README", func(old []byte) ([]byte, error) { return old, nil }); err == nil {
		t.Error("a file that cannot be written was")
	}
}
