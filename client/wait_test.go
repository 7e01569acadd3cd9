package client_test

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

func TestWaitChange(t *testing.T) {
	_, c := start(t)
	ctx := t.Context()
	w, err := c.WriteFile(ctx, "/memfs/log", []byte("one\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/memfs/log", "/memfs/later"} {
		known := map[string]string{"/memfs/log": w.ETag, "/memfs/later": client.NoFile}[path]
		if _, err := c.WaitChange(ctx, path, known, time.Millisecond); !errors.Is(err, client.ErrUnchanged) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := c.WaitRead(ctx, "/memfs/log", w.ETag, client.Range{Size: -1}, 0); !errors.Is(err, client.ErrUnchanged) {
		t.Errorf("%v", err)
	}
	go func() { _, _ = c.WriteFile(ctx, "/memfs/later", []byte("here")) }() // what it does is seen below
	if i, err := c.WaitChange(ctx, "/memfs/later", client.NoFile, time.Minute); err != nil || i.Size != 4 || i.ETag == "" {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err := c.WriteFile(ctx, "/memfs/log", []byte("two\n"), client.Append()); err != nil {
		t.Fatal(err)
	}
	p, err := c.WaitRead(ctx, "/memfs/log", w.ETag, client.Range{Off: 4, Size: -1}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if b, err := io.ReadAll(p); string(b) != "two\n" || err != nil || p.Size != 8 || p.ETag == w.ETag || p.File == "" {
		t.Errorf("%q, %v, %+v", b, err, p)
	}
	if err := c.Remove(ctx, "/memfs/log"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WaitChange(ctx, "/memfs/log", p.ETag, time.Minute); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// A server that knows no waiting answers at once, which must not look like a
// change.
func TestWaitAtAServerThatCannot(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("path") == "/no" {
			http.Error(w, `{"error":"not found","code":"not_found"}`, 404)
			return
		}
		w.Header().Set("ETag", `"7"`)
		_, _ = io.WriteString(w, `{"name":"f"}`)
	}))
	defer s.Close()
	c, err := client.New(client.Config{URLs: []string{s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	for path, known := range map[string]string{"/f": `"7"`, "/no": client.NoFile} {
		if _, err := c.WaitChange(t.Context(), path, known, time.Minute); !errors.Is(err, vfs.Unsupported) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := c.WaitRead(t.Context(), "/f", `"7"`, client.Range{Size: -1}, time.Minute); !errors.Is(err, vfs.Unsupported) {
		t.Errorf("%v", err)
	}
	if _, err := c.WaitChange(t.Context(), "/no", `"7"`, time.Minute); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
