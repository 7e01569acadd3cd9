package bench

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/valyala/fasthttp"
)

// A message that may have been taken is not asked for again; a file is.
func TestOnce(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		c.Close()
	}))
	defer s.Close()
	r, err := Server{URLs: []string{s.URL}, Files: "/f", Queue: "/q"}.open(1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.close() }()
	if _, err := r.Dequeue(t.Context(), 0); !errors.Is(err, fasthttp.ErrConnectionClosed) || asked.Load() != 1 {
		t.Errorf("a message was asked for %d times, %v", asked.Load(), err)
	}
	asked.Store(0)
	if _, err := r.Get(t.Context(), 0, "x", nil); err == nil || asked.Load() != 2 {
		t.Errorf("a file was asked for %d times, %v", asked.Load(), err)
	}
}

// A node that is started for a measurement is not configured by its user's shell.
func TestEnviron(t *testing.T) {
	got := environ([]string{"PATH=/bin", "PFS_TOKEN=x", "HOME=/root", "PFS_URL=y"})
	if !slices.Equal(got, []string{"PATH=/bin", "HOME=/root"}) {
		t.Error(got)
	}
}
