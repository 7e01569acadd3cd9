package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fasthttp/router"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/pfs-project/pfs/secret"
	"github.com/pfs-project/pfs/vfs"
)

// Sizes of the framing, in bytes.
const (
	maxHeader = 16 << 10 // request line and header block
	maxURI    = 8 << 10
)

// Limits bounds what clients may hold. A zero field takes its default.
type Limits struct {
	Conns   int           // open connections; 12,000
	Handles int           // open handles of this node; 10,000
	Head    time.Duration // to send the header of a request; 10 s
	Idle    time.Duration // between requests; 60 s
	Warm    time.Duration // between requests until buffers are given back; 20 ms, and at most twice that
	Stall   time.Duration // a body or an answer that does not move; 30 s
	MinRate int           // bytes a second of a body, averaged over Stall; 1,024
	Held    int           // bytes of bodies and answers that are held whole, together; 256 MiB
	Op      time.Duration // one change or lookup in the cluster; 9 s
	Grep    time.Duration // one search; 5 s
	Waits   int           // reads that wait for a file to have something, and as many that follow streams; 8,000
	Tools   int           // calls of agents under way, which hold what they read; 64. As many as Waits that wait themselves come on top
}

func (l Limits) withDefaults() Limits {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	num := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	num(&l.Conns, 12_000)
	num(&l.Handles, 10_000)
	num(&l.Waits, 8_000)
	num(&l.Tools, 64)
	num(&l.MinRate, 1024)
	num(&l.Held, 256<<20)
	def(&l.Head, 10*time.Second)
	def(&l.Idle, 60*time.Second)
	def(&l.Warm, 20*time.Millisecond)
	def(&l.Stall, 30*time.Second)
	def(&l.Op, 9*time.Second)
	def(&l.Grep, 5*time.Second)
	return l
}

// Config says what a Server serves.
type Config struct {
	Node                       Node
	Plugins                    []vfs.Plugin              // those that can be mounted
	Env                        func(vfs.Mounted) vfs.Env // what a plugin gets when a mount is tried
	Backups                    Backups                   // nil: there are none
	ClusterID                  func() string             // the id of the cluster, "" before it has one; nil: it has none
	Secrets                    *secret.Box               // seals what a mount must not show; nil: nothing can be sealed
	Cluster                    Cluster                   // nil: only this node's id is told
	Alive, Serves              func() error              // what /livez and /readyz say; nil: ok, and what Ready says
	Libraries                  Libraries                 // nil: no third-party plugins run here
	MCP                        http.Handler              // answers agents at /mcp, see Idler; nil: nothing is there
	Metrics                    prometheus.Gatherer
	MaxBody                    int64 // bytes of a request body; 0: no limit on streamed ones
	Limits                     Limits
	Version, Commit, BuildTime string
	Slow                       time.Duration // from when on a request is logged as slow; 0: never
	Log                        *slog.Logger  // nil: nothing is logged
	Fatal                      func(error)   // a fault in the store below; nil panics
}

// Server serves the API. Make one with New.
type Server struct {
	cfg      Config
	limits   Limits
	log      *slog.Logger
	fast     *fasthttp.Server
	router   *router.Router
	plugins  map[string]vfs.Plugin
	metrics  *metrics
	handles  *handles
	bodies   []route // those whose bodies have other limits than objects
	peers    *fasthttp.Client
	windows  windows
	waits    *waits
	audience audience        // of streams in the log
	relays   audience        // of streams outside
	held     atomic.Int64    // bytes that calls hold in memory
	tools    chan struct{}   // a place for each call of an agent under way
	idle     atomic.Int64    // those that wait, without a place
	base     context.Context // of all requests; ends when a shutdown loses patience
	cancel   context.CancelFunc
	down     atomic.Bool

	mu    sync.Mutex
	lns   map[net.Listener]struct{}
	conns map[*conn]struct{}
	work  sync.WaitGroup // connections
}

// New returns a Server that does not listen yet.
func New(cfg Config) *Server {
	s := &Server{
		cfg: cfg, limits: cfg.Limits.withDefaults(), log: cfg.Log,
		plugins: map[string]vfs.Plugin{},
		lns:     map[net.Listener]struct{}{}, conns: map[*conn]struct{}{},
	}
	if s.cfg.Secrets == nil {
		s.cfg.Secrets = &secret.Box{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, p := range cfg.Plugins {
		s.plugins[p.Type] = p
	}
	s.base, s.cancel = context.WithCancel(context.Background())
	s.metrics = newMetrics(s)
	s.handles = newHandles(s.limits.Handles)
	s.waits = newWaits(s)
	s.tools = make(chan struct{}, s.limits.Tools)
	s.router = s.routes()
	s.peers = newPeerClient()
	s.fast = &fasthttp.Server{
		Handler:                      s.handle,
		ErrorHandler:                 s.malformed,
		HeaderReceived:               s.received,
		ConnState:                    func(c net.Conn, st fasthttp.ConnState) { c.(*conn).state(st) },
		ReadBufferSize:               maxHeader,
		StreamRequestBody:            true,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		Concurrency:                  s.limits.Conns + 1,
		Logger:                       quiet{},
	}
	return s
}

// quiet drops what fasthttp says: it would quote requests.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// Serve answers connections of ln until Shutdown, which makes it return nil.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.down.Load() {
		s.mu.Unlock()
		return ln.Close()
	}
	s.lns[ln] = struct{}{}
	s.mu.Unlock()
	pause := 5 * time.Millisecond
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			pause = 5 * time.Millisecond
			s.admit(nc)
		case s.down.Load() || errors.Is(err, net.ErrClosed):
			return nil
		default:
			s.log.Warn("accept failed", "error", err)
			select { // out of descriptors, most likely: wait for some to come back
			case <-s.base.Done():
				return nil
			case <-time.After(pause):
			}
			pause = min(2*pause, time.Second)
		}
	}
}

// overloaded is the whole answer to a connection over the limit.
func overloaded() []byte {
	id := requestID(nil)
	body := `{"error":"too many connections","code":"unavailable","request_id":"` + id + "\"}\n"
	return fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"+
		"X-Request-Id: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", id, len(body), body)
}

func (s *Server) admit(nc net.Conn) {
	s.mu.Lock()
	full := len(s.conns) >= s.limits.Conns
	c := &conn{Conn: nc, s: s}
	if !full && !s.down.Load() {
		s.conns[c] = struct{}{}
		s.work.Add(1)
		go s.serve(c)
		nc = nil
	}
	s.mu.Unlock()
	if nc == nil {
		return
	}
	if full {
		s.metrics.rejected.Add(1)
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second)) // best effort: it is turned away
		_, _ = nc.Write(overloaded())
	}
	_ = nc.Close() // nothing was promised on it
}

// serve runs one connection. Parked, it costs this small goroutine alone: what
// fasthttp needs, the deep stack too, lives in another while it is busy.
func (s *Server) serve(c *conn) {
	defer s.work.Done()
	boundUnsent(c.Conn)
	for c.park() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = s.fast.ServeConn(c) // what went wrong has been answered, or nobody is there
		}()
		<-done
		if !c.parked {
			break
		}
	}
	c.linger()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// Shutdown stops accepting, ends idle connections, lets requests in flight
// finish, and returns when all have. When ctx ends first it cuts them off and
// returns the error of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.down.Store(true)
	s.waits.stop()
	s.mu.Lock()
	for ln := range s.lns {
		_ = ln.Close() // Serve returns; nothing to say to clients
	}
	for c := range s.conns {
		c.drain()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.work.Wait(); close(done) }()
	defer s.cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Conn.Close() // out of patience
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}
