package api

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pfs-project/pfs/vfs"
)

const (
	queueLabels = 100    // queues with figures of their own
	queueMost   = 10_000 // of one mount that are counted
	queueTime   = time.Second
)

// queueStates tells at each scrape what is in the queues of this node's mounts.
type queueStates struct {
	node    Node
	fault   func(vfs.StoreFault)
	queues  *prometheus.Desc
	age     *prometheus.Desc
	figures []queueFigure
}

type queueFigure struct {
	desc *prometheus.Desc
	of   func(vfs.QueueState) uint64
}

func newQueueStates(n Node, fault func(vfs.StoreFault)) *queueStates {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("pfs_queuefs_"+name, help, append(labels, "mount"), nil)
	}
	return &queueStates{n, fault,
		desc("queues", "Queues in a mount."),
		desc("oldest_age_seconds", "How long the message waits that is ready and came first; 0 if there is none.", "queue"),
		[]queueFigure{
			{desc("ready_messages", "Messages that can be taken.", "queue"), func(q vfs.QueueState) uint64 { return q.Ready }},
			{desc("delayed_messages", "Messages that will be ready later.", "queue"), func(q vfs.QueueState) uint64 { return q.Delayed }},
			{desc("inflight_messages", "Messages under a lease.", "queue"), func(q vfs.QueueState) uint64 { return q.Inflight }},
			{desc("dead_messages", "Messages that were given up and are set aside.", "queue"), func(q vfs.QueueState) uint64 { return q.Dead }},
		}}
}

// Describe is for the registry.
func (q *queueStates) Describe(ch chan<- *prometheus.Desc) {
	ch <- q.queues
	ch <- q.age
	for _, f := range q.figures {
		ch <- f.desc
	}
}

// Collect is for the registry.
func (q *queueStates) Collect(ch chan<- prometheus.Metric) {
	left, now := queueLabels, time.Now()
	var other vfs.QueueState
	more := false
	for _, m := range q.look() {
		ch <- prometheus.MustNewConstMetric(q.queues, prometheus.GaugeValue, float64(len(m.queues)), m.path)
		for _, s := range m.queues {
			if left == 0 {
				more = true
				other.Ready, other.Delayed = other.Ready+s.Ready, other.Delayed+s.Delayed
				other.Inflight, other.Dead = other.Inflight+s.Inflight, other.Dead+s.Dead
				continue
			}
			left--
			age := 0.0
			if !s.Oldest.IsZero() {
				age = max(0, now.Sub(s.Oldest).Seconds())
			}
			ch <- prometheus.MustNewConstMetric(q.age, prometheus.GaugeValue, age, string(s.Path), m.path)
			q.send(ch, s, string(s.Path), m.path)
		}
	}
	if more {
		q.send(ch, other, otherMounts, otherMounts)
	}
}

func (q *queueStates) send(ch chan<- prometheus.Metric, s vfs.QueueState, queue, mount string) {
	for _, f := range q.figures {
		ch <- prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, float64(f.of(s)), queue, mount)
	}
}

// queueMount is a mount with its queues.
type queueMount struct {
	path   string
	queues []vfs.QueueState
}

// look describes the queues of all mounts, in the order of the mounts. A
// database that does not answer within a second has no figures this time.
func (q *queueStates) look() (out []queueMount) {
	ctx, cancel := context.WithTimeout(context.Background(), queueTime)
	defer cancel()
	img, err := q.node.Image(ctx, vfs.Level{Present: true})
	if err != nil {
		return nil // the node cannot go on
	}
	defer img.Release()
	mounts := img.Table.Mounts()
	found := make([][]vfs.QueueState, len(mounts))
	var asked sync.WaitGroup
	for i, m := range mounts {
		d, ok := m.FS.(vfs.Queuer)
		if !ok || m.State().Status != vfs.MountUp {
			continue
		}
		v := vfs.Sub(img.View, vfs.MountPrefix(m.ID)) // a Device has its own state
		asked.Go(func() {
			defer q.faults()
			found[i], _ = d.Queues(ctx, v, queueMost, queueLabels) // without an answer, without figures
		})
	}
	asked.Wait()
	for i, m := range mounts {
		if found[i] != nil {
			out = append(out, queueMount{string(m.Path), found[i]})
		}
	}
	return out
}

// faults ends the node where its state cannot be read, as a request would.
func (q *queueStates) faults() {
	switch p := recover().(type) {
	case nil:
	case vfs.StoreFault:
		q.fault(p)
	default:
		panic(p)
	}
}
