package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Bounds of the admin listener.
const (
	adminHead    = 10 * time.Second // to send the header of a request
	adminStop    = time.Second      // for requests in flight, at the end
	adminScrapes = 4                // scrapes at once
)

// adminAddress is where the admin listener listens; "" for nowhere. Without a
// host that is loopback: who wants more says so.
func (c *Config) adminAddress() (string, error) {
	a := c.Server.AdminAddress
	if a == "" {
		return "", nil
	}
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		return "", fmt.Errorf("server.admin_address is %q; it must be HOST:PORT", a)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// openAdmin starts the admin listener, if there is to be one.
func (n *node) openAdmin() error {
	address, err := n.config.adminAddress()
	if address == "" || err != nil {
		return err
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("server.admin_address: %w", err)
	}
	if a, ok := ln.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		n.log.Warn("other machines can reach the admin listener, which asks nobody who he is", "address", ln.Addr().String())
	}
	n.admin = &http.Server{Handler: n.adminRoutes(), ReadHeaderTimeout: adminHead}
	n.adminAt = ln.Addr()
	go func() {
		if err := n.admin.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			n.log.Error("the admin listener stopped", "error", err)
		}
	}()
	return nil
}

func (n *node) adminRoutes() http.Handler {
	m := http.NewServeMux()
	m.Handle("GET /metrics", promhttp.HandlerFor(n.figures, promhttp.HandlerOpts{MaxRequestsInFlight: adminScrapes}))
	m.HandleFunc("GET /healthz", probe(func() error { return nil }))
	m.HandleFunc("GET /livez", probe(n.cluster.Alive))
	m.HandleFunc("GET /readyz", probe(n.cluster.Serves))
	m.HandleFunc("/debug/pprof/", pprof.Index)
	m.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	m.HandleFunc("/debug/pprof/profile", pprof.Profile)
	m.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	m.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return m
}

// probe answers 200, or 503 with the reason.
func probe(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		text := "ok"
		if err := check(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			text = err.Error()
		}
		_, _ = fmt.Fprintln(w, text) // nobody waits for it any more, if it fails
	}
}

// closeAdmin ends the admin listener, if there is one.
func (n *node) closeAdmin() {
	if n.admin == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), adminStop)
	defer cancel()
	if n.admin.Shutdown(ctx) != nil {
		_ = n.admin.Close() // a profile may take long
	}
}
