package server

import (
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
)

// figures is what /metrics shows, as long as what it asks is open.
type figures struct {
	mu   sync.RWMutex
	from prometheus.Gatherer // nil once the node stops
}

// Gather reads all figures; none once the node stops.
func (f *figures) Gather() ([]*dto.MetricFamily, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.from == nil {
		return nil, nil
	}
	return f.from.Gather()
}

func (f *figures) set(from prometheus.Gatherer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.from = from
}

// registry holds the figures of the process and of the cluster node.
func (n *node) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.MustRegister(n.cluster.Collectors()...)
	if n.backups != nil {
		r.MustRegister(n.backups.collectors()...)
	}
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
	}
	gauge("pfs_build_info", "1, with what was built.", prometheus.Labels{"version": version, "commit": commit(), "go_version": runtime.Version()},
		func() float64 { return 1 })
	started := time.Now()
	gauge("pfs_uptime_seconds", "Time since the node was started.", nil, func() float64 { return time.Since(started).Seconds() })
	gauge("pfs_ready", "1 while this node knows a leader, has caught up and has its configured mounts.", nil, func() float64 { return good(n.cluster.Ready()) })
	gauge("pfs_alive", "1 while the loops of the node turn.", nil, func() float64 { return good(n.cluster.Alive()) })
	return r
}

func good(err error) float64 {
	if err != nil {
		return 0
	}
	return 1
}
