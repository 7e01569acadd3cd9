package bench

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// A node that has its mounts late is waited for.
func TestMounted(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("path") == "" {
			t.Errorf("it asks %s", r.URL)
		}
		w.Header().Set("Content-Type", "application/json")
		if n := asked.Add(1); n < 4 || n == 5 {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error":"no such file"}`)) // the client may have gone
			return
		}
		_, _ = w.Write([]byte(`{"name":"x","isDir":true}`))
	}))
	defer s.Close()
	if err := mounted(t.Context(), s.URL); err != nil || asked.Load() != 6 {
		t.Errorf("asked %d times, %v", asked.Load(), err)
	}
}
