package api

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pfs-project/pfs/vfs"
)

// mountLabels bounds how many mounts have figures of their own.
const mountLabels = 100

// otherMounts is the label of all mounts past that.
const otherMounts = "(other)"

// mountMetrics counts what clients ask of each mount.
type mountMetrics struct {
	ops     *prometheus.CounterVec
	errors  *prometheus.CounterVec
	seconds *prometheus.HistogramVec

	mu     sync.Mutex
	known  map[vfs.Path]bool // those with a label of their own
	kept   kept[asked, *taken]
	looked *vfs.Table // when room was last made
}

func newMountMetrics() *mountMetrics {
	return &mountMetrics{
		ops: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pfs_mount_operations_total",
			Help: "Requests for something in a mount, by the mount that its path leads to."}, []string{"mount", "type", "operation"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pfs_mount_errors_total",
			Help: "Requests for something in a mount that were answered with an error, by its code."}, []string{"mount", "type", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "pfs_mount_operation_seconds",
			Help:    "Time until the answer began, without what the client took to send its body.",
			Buckets: []float64{.001, .005, .025, .1, .5, 2.5, 10}}, []string{"mount"}),
		known: map[vfs.Path]bool{},
	}
}

// asked is a kind of request for something in a mount.
type asked struct {
	mount           vfs.Path
	kind, operation string
}

// taken is the figures of such requests.
type taken struct {
	mount   string // the label
	ops     prometheus.Counter
	seconds prometheus.Observer
}

// taken returns figures. Those of a mount without a label of its own are looked up
// each time: there may be room for it by now.
func (m *mountMetrics) taken(a asked, t *vfs.Table) *taken {
	if f, ok := m.kept.look(a); ok {
		return f
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.label(a.mount, t)
	f := &taken{at, m.ops.WithLabelValues(at, a.kind, a.operation), m.seconds.WithLabelValues(at)}
	if at != otherMounts {
		m.kept.add(a, f)
	}
	return f
}

// label is the mount's path, or otherMounts if there are too many. The caller
// holds mu.
func (m *mountMetrics) label(at vfs.Path, t *vfs.Table) string {
	if !m.known[at] && len(m.known) >= mountLabels {
		m.makeRoom(t)
		if len(m.known) >= mountLabels {
			return otherMounts
		}
	}
	m.known[at] = true
	return string(at)
}

// makeRoom drops the figures of mounts that are gone. The caller holds mu.
func (m *mountMetrics) makeRoom(t *vfs.Table) {
	if m.looked == t {
		return // nothing has gone since
	}
	m.looked = t
	m.kept.forget()
	gone := maps.Clone(m.known)
	for _, mt := range t.Mounts() {
		delete(gone, mt.Path)
	}
	for p := range gone {
		delete(m.known, p)
		l := prometheus.Labels{"mount": string(p)}
		m.ops.DeletePartialMatch(l)
		m.errors.DeletePartialMatch(l)
		m.seconds.DeletePartialMatch(l)
	}
}

// observe counts a request that asked for p under the table t.
func (m *mountMetrics) observe(t *vfs.Table, p vfs.Path, operation, code string, took time.Duration) {
	mt, _, ok := t.Route(p)
	if !ok {
		return
	}
	f := m.taken(asked{mt.Path, mt.Type, operation}, t)
	f.ops.Inc()
	f.seconds.Observe(took.Seconds())
	if code != "" {
		m.errors.WithLabelValues(f.mount, mt.Type, code).Inc()
	}
}

// operations are the routes whose last element does not say what they do.
var operations = map[string]string{
	"GET /files": "read", "HEAD /files": "head", "PUT /files": "write", "POST /files": "create", "DELETE /files": "remove",
	"GET /directories": "list", "POST /directories": "mkdir", "DELETE /directories": "remove",
	"POST /handles/open": "open",
}

// operation names what a route does.
func operation(method string, r *route) string {
	p := strings.TrimPrefix(r.path, prefix)
	if op := operations[method+" "+p]; op != "" {
		return op
	}
	p = strings.TrimPrefix(p, "/")
	if name, _, below := strings.Cut(p, "/"); below {
		return strings.TrimSuffix(name, "s") // of a handle
	}
	return p
}

// mountStates tells at each scrape which mounts are up on this node.
type mountStates struct {
	node Node
	up   *prometheus.Desc
	all  *prometheus.Desc
	does *prometheus.Desc
	ends *prometheus.Desc
}

func newMountStates(n Node) *mountStates {
	return &mountStates{n,
		prometheus.NewDesc("pfs_mount_up", "1 if the mount is up on this node, 0 while it is pending or has failed.", []string{"mount", "type"}, nil),
		prometheus.NewDesc("pfs_mounts", "Mounts in the table.", nil, nil),
		prometheus.NewDesc("pfs_mount_process_info", "1, with what the process of the mount does on this node: stopped, starting, ready, backoff, failed or stopping.", []string{"mount", "type", "state"}, nil),
		prometheus.NewDesc("pfs_mount_process_ends_total", "Times that the process, or an instance of the module, of the mount has ended unasked since it was mounted.", []string{"mount", "type"}, nil)}
}

// Describe is for the registry.
func (m *mountStates) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.up, m.all, m.does, m.ends} {
		ch <- d
	}
}

// Collect is for the registry.
func (m *mountStates) Collect(ch chan<- prometheus.Metric) {
	img, err := m.node.Image(context.Background(), vfs.Level{Present: true})
	if err != nil {
		return // the node cannot go on
	}
	mounts := img.Table.Mounts()
	img.Release()
	ch <- prometheus.MustNewConstMetric(m.all, prometheus.GaugeValue, float64(len(mounts)))
	for _, mt := range mounts[:min(len(mounts), mountLabels)] {
		up := 0.0
		st := mt.State()
		if st.Status == vfs.MountUp {
			up = 1
		}
		if st.Process != "" {
			ch <- prometheus.MustNewConstMetric(m.does, prometheus.GaugeValue, 1, string(mt.Path), mt.Type, st.Process)
			ch <- prometheus.MustNewConstMetric(m.ends, prometheus.CounterValue, float64(st.Ends), string(mt.Path), mt.Type)
		}
		ch <- prometheus.MustNewConstMetric(m.up, prometheus.GaugeValue, up, string(mt.Path), mt.Type)
	}
}
