package cluster

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// pluginLabels bounds how many third-party plugins have figures of their own, and
// otherPlugins is the label of all past that.
const (
	pluginLabels = 100
	otherPlugins = "(other)"
)

// pluginFigures counts what this node runs of third-party plugins, by plugin.
type pluginFigures struct {
	n       *Node
	calls   *prometheus.CounterVec
	errors  *prometheus.CounterVec
	starts  *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	mounts  *prometheus.Desc

	mu    sync.Mutex
	known map[string]bool // those with a label of their own
}

func newPluginFigures(n *Node) *pluginFigures {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"plugin"}, labels...))
	}
	return &pluginFigures{n: n, known: map[string]bool{},
		calls:  counter("pfs_plugin_calls_total", "Calls of third-party plugins on this node."),
		errors: counter("pfs_plugin_errors_total", "Calls of third-party plugins on this node that ended with an error, by its code.", "code"),
		starts: counter("pfs_plugin_starts_total", "Processes and instances of third-party plugins that this node has started, again after crashes, too."),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "pfs_plugin_call_seconds",
			Help: "Time of a call of a third-party plugin on this node.", Buckets: prometheus.ExponentialBuckets(16e-6, 4, 11)}, []string{"plugin"}),
		mounts: prometheus.NewDesc("pfs_plugin_mounts", "Mounts of third-party plugins that run on this node, by their state.", []string{"plugin", "state"}, nil)}
}

// here reports whether a mount is of a third-party plugin that runs on this node.
func (f *pluginFigures) here(m vfs.Mounted) bool {
	return m.Place != vfs.Replicated && m.Type != "" && (m.Place != vfs.Pinned || m.Node == f.n.id) && f.n.plugin(m.Type).Type == ""
}

// label is the plugin's name, or otherPlugins if there are too many.
func (f *pluginFigures) label(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.known[name] && len(f.known) >= pluginLabels {
		return otherPlugins
	}
	f.known[name] = true
	return name
}

// called notes a call.
func (f *pluginFigures) called(m vfs.Mounted, took time.Duration, err error) {
	if !f.here(m) {
		return
	}
	label := f.label(m.Type)
	f.calls.WithLabelValues(label).Inc()
	f.seconds.WithLabelValues(label).Observe(took.Seconds())
	if err != nil {
		f.errors.WithLabelValues(label, vfs.KindOf(err).Code()).Inc()
	}
}

// started notes that a process or an instance was started.
func (f *pluginFigures) started(m vfs.Mounted) {
	if f.here(m) {
		f.starts.WithLabelValues(f.label(m.Type)).Inc()
	}
}

// Describe is for the registry.
func (f *pluginFigures) Describe(ch chan<- *prometheus.Desc) {
	f.calls.Describe(ch)
	f.errors.Describe(ch)
	f.starts.Describe(ch)
	f.seconds.Describe(ch)
	ch <- f.mounts
}

// Collect is for the registry.
func (f *pluginFigures) Collect(ch chan<- prometheus.Metric) {
	im := f.n.machine.Image()
	defer im.Release()
	states := map[[2]string]float64{}
	for _, m := range im.Table.Mounts() {
		if f.here(m) {
			states[[2]string{f.label(m.Type), m.State().Status}]++
		}
	}
	f.prune(im)
	for k, count := range states {
		ch <- prometheus.MustNewConstMetric(f.mounts, prometheus.GaugeValue, count, k[0], k[1])
	}
	f.calls.Collect(ch)
	f.errors.Collect(ch)
	f.starts.Collect(ch)
	f.seconds.Collect(ch)
}

// prune drops the figures of plugins that are loaded no more.
func (f *pluginFigures) prune(im *fsm.Image) {
	var loaded []string
	for lib := range fsm.Libraries(im.View) {
		loaded = append(loaded, lib.Name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.known {
		if slices.Contains(loaded, name) {
			continue
		}
		delete(f.known, name)
		l := prometheus.Labels{"plugin": name}
		f.calls.DeletePartialMatch(l)
		f.errors.DeletePartialMatch(l)
		f.starts.DeletePartialMatch(l)
		f.seconds.DeletePartialMatch(l)
	}
}
