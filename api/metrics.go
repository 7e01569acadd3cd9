package api

import (
	"bytes"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/pfs-project/pfs/vfs"
)

// metrics counts what goes through the server.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	problems *prometheus.CounterVec
	mounts   *mountMetrics
	answers  kept[outcome, *answered]
	inFlight atomic.Int64
	in, out  atomic.Uint64 // bytes
	refused  atomic.Uint64 // requests with doubtful framing
	rejected atomic.Uint64 // connections over the limit
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pfs_http_requests_total", Help: "Requests answered."}, []string{"route", "method", "status"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pfs_http_request_seconds", Help: "Time until the answer began.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"route"}),
		problems: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pfs_http_problems_total", Help: "Answers that were errors, by their code."}, []string{"code"}),
		mounts: newMountMetrics(),
	}
	for k := vfs.Kind(0); k == 0 || k.Valid(); k++ {
		m.problems.WithLabelValues(k.Code()) // so that a first one is a change
	}
	m.registry.MustRegister(m.requests, m.latency, m.problems, m.mounts.ops, m.mounts.errors, m.mounts.seconds, newMountStates(s.cfg.Node), newQueueStates(s.cfg.Node, s.fault))
	m.counts()
	m.gauges(s)
	return m
}

func (m *metrics) counts() {
	for _, c := range []struct {
		name, help string
		v          *atomic.Uint64
	}{
		{"pfs_http_received_bytes_total", "Bytes read from clients.", &m.in},
		{"pfs_http_sent_bytes_total", "Bytes written to clients.", &m.out},
		{"pfs_http_refused_total", "Requests refused for their framing.", &m.refused},
		{"pfs_http_rejected_connections_total", "Connections over the limit.", &m.rejected},
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help},
			func() float64 { return float64(c.v.Load()) }))
	}
}

func (m *metrics) gauges(s *Server) {
	for _, g := range []struct {
		name, help string
		v          func() int
	}{
		{"pfs_http_requests_in_flight", "Requests being handled.", func() int { return int(m.inFlight.Load()) }},
		{"pfs_http_connections", "Open connections.", s.connections},
		{"pfs_http_limit_connections", "How many connections may be open.", func() int { return s.limits.Conns }},
		{"pfs_http_handles", "Open handles of this node.", func() int { return s.handles.count() }},
		{"pfs_http_limit_handles", "How many handles may be open.", func() int { return s.limits.Handles }},
		{"pfs_http_waiting_requests", "Requests that wait: reads for a file to have something or to change, any for a mount to start.", func() int { return s.waits.held() }},
		{"pfs_http_limit_waiting_requests", "How many may wait.", func() int { return s.limits.Waits }},
		{"pfs_http_held_bytes", "Bodies and answers that are held in memory whole.", func() int { return int(s.held.Load()) }},
		{"pfs_http_held_limit_bytes", "How many bytes of them may be held.", func() int { return s.limits.Held }},
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help},
			func() float64 { return float64(g.v()) }))
	}
}

func (s *Server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Totals returns the bytes that came in from clients and went out to them.
func (s *Server) Totals() (in, out int64) {
	return int64(s.metrics.in.Load()), int64(s.metrics.out.Load())
}

// observe counts a request that was answered after a time.
func (m *metrics) observe(c *call, took time.Duration) {
	a := m.answered(outcome{c.route, c.method(), c.fc.Response.StatusCode()})
	a.all.Inc()
	a.seconds.Observe(took.Seconds())
	if c.table != nil && c.asked != "" {
		if c.in != nil {
			took -= c.in.took
		}
		m.mounts.observe(c.table, c.asked, a.operation, c.code, took)
	}
}

// outcome is a kind of answer.
type outcome struct {
	route  *route
	method string
	status int
}

// answered is the figures of a kind of answer.
type answered struct {
	all       prometheus.Counter
	seconds   prometheus.Observer
	operation string
}

func (m *metrics) answered(a outcome) *answered {
	if f, ok := m.answers.look(a); ok {
		return f
	}
	f := &answered{
		all:       m.requests.WithLabelValues(a.route.path, a.method, strconv.Itoa(a.status)),
		seconds:   m.latency.WithLabelValues(a.route.path),
		operation: operation(a.method, a.route),
	}
	m.answers.add(a, f)
	return f
}

// Metrics returns all figures: those of the API, and those it was given.
func (s *Server) Metrics() prometheus.Gatherer {
	g := prometheus.Gatherers{s.metrics.registry}
	if s.cfg.Metrics != nil {
		g = append(g, s.cfg.Metrics)
	}
	return g
}

// scrape answers GET /metrics in Prometheus' text format.
func (c *call) scrape() error {
	families, err := c.s.Metrics().Gather()
	if len(families) == 0 && err != nil {
		return err
	}
	var b bytes.Buffer
	f := expfmt.NewFormat(expfmt.TypeTextPlain)
	enc := expfmt.NewEncoder(&b, f)
	for _, fam := range families {
		if err := enc.Encode(fam); err != nil {
			return err
		}
	}
	c.fc.Response.Header.SetContentType(string(f))
	c.fc.SetStatusCode(200)
	c.fc.Response.SetBodyRaw(b.Bytes())
	return nil
}
