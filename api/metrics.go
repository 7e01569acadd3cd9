package api

import (
	"bytes"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// metrics counts what goes through the server.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
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
	}
	count := func(name, help string, v *atomic.Uint64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return float64(v.Load()) }))
	}
	gauge := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	m.registry.MustRegister(m.requests, m.latency)
	count("pfs_http_received_bytes_total", "Bytes read from clients.", &m.in)
	count("pfs_http_sent_bytes_total", "Bytes written to clients.", &m.out)
	count("pfs_http_refused_total", "Requests refused for their framing.", &m.refused)
	count("pfs_http_rejected_connections_total", "Connections over the limit.", &m.rejected)
	gauge("pfs_http_requests_in_flight", "Requests being handled.", func() float64 { return float64(m.inFlight.Load()) })
	gauge("pfs_http_connections", "Open connections.", func() float64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return float64(len(s.conns))
	})
	gauge("pfs_http_handles", "Open handles of this node.", func() float64 { return float64(s.handles.count()) })
	return m
}

// Totals returns the bytes that came in from clients and went out to them.
func (s *Server) Totals() (in, out int64) {
	return int64(s.metrics.in.Load()), int64(s.metrics.out.Load())
}

func (m *metrics) observe(r *route, method string, status int, d time.Duration) {
	m.requests.WithLabelValues(r.path, method, strconv.Itoa(status)).Inc()
	m.latency.WithLabelValues(r.path).Observe(d.Seconds())
}

// scrape answers GET /metrics in Prometheus' text format.
func (c *call) scrape() error {
	g := prometheus.Gatherers{c.s.metrics.registry}
	if c.s.cfg.Metrics != nil {
		g = append(g, c.s.cfg.Metrics)
	}
	families, err := g.Gather()
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
