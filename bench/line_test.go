package bench

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// A request ends with its context, also one whose server never answers and one
// that has not connected yet; the session goes on under another context.
func TestRequestEnds(t *testing.T) {
	var deaf atomic.Bool
	asked, hold := make(chan struct{}, 1), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if deaf.Load() {
			asked <- struct{}{}
			<-hold
		}
	}))
	defer s.Close()
	defer close(hold)
	one, err := dial(s.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer one.close()
	for range 3 {
		deaf.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-asked; cancel() }()
		if _, err := one.do(ctx, "PUT", "/x", []byte("x")); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if _, err := one.do(ctx, "GET", "/x", nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		deaf.Store(false)
		if _, err := one.do(t.Context(), "PUT", "/x", []byte("x")); err != nil {
			t.Error(err)
		}
	}
}

// A context that ends while nothing is asked closes no connection.
func TestLineStays(t *testing.T) {
	var opened atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	one, err := dial(s.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer one.close()
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := one.once(ctx, "PUT", "/x", nil); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for one client", n)
	}
}
