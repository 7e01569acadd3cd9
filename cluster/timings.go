package cluster

import (
	"context"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pfs-project/pfs/trace"
)

// timings is what a node measures of what it does.
type timings struct {
	byStage *prometheus.HistogramVec
	stages  stageTimes
	confirm prometheus.Histogram
	calls   *prometheus.HistogramVec
	failed  *prometheus.CounterVec
	fold    prometheus.Histogram
	folds   prometheus.Histogram
	kept    prometheus.Histogram
}

func newTimings() timings {
	t := timings{
		confirm: newHistogram("pfs_read_confirm_seconds", "Time until a quorum has confirmed a linearizable read and this node has caught up.", 0.0001, 2, 17),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "pfs_call_seconds", Help: "Time of calls to other nodes.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8)}, []string{"call"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pfs_calls_failed_total",
			Help: "Calls to other nodes that brought no answer, or an error."}, []string{"call"}),
		fold:  newHistogram("pfs_apply_seconds", "Time to fold one batch of log entries into the state.", 0.0001, 2, 17),
		folds: newHistogram("pfs_apply_entries", "Log entries folded at once.", 1, 2, 8),
		kept:  newHistogram("pfs_chunk_write_seconds", "Time to make one chunk durable on this node.", 0.001, 2, 14),
	}
	t.byStage, t.stages = newStageTimes()
	for i, name := range callNames {
		if name != "" {
			t.calls.WithLabelValues(callName(byte(i)))
			t.failed.WithLabelValues(callName(byte(i)))
		}
	}
	return t
}

func newHistogram(name, help string, start, factor float64, count int) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help,
		Buckets: prometheus.ExponentialBuckets(start, factor, count)})
}

func (t *timings) collectors() []prometheus.Collector {
	return []prometheus.Collector{t.byStage, t.confirm, t.calls, t.failed, t.fold, t.folds, t.kept}
}

func (t *timings) folded(entries int, took time.Duration) {
	t.fold.Observe(took.Seconds())
	t.folds.Observe(float64(entries))
}

// called hears of a call to another node.
func (t *timings) called(method byte, took time.Duration, err error) {
	name := callName(method)
	t.calls.WithLabelValues(name).Observe(took.Seconds())
	if err != nil {
		t.failed.WithLabelValues(name).Inc()
	}
}

func (t *timings) confirmed(ctx context.Context, took time.Duration) {
	t.confirm.Observe(took.Seconds())
	trace.From(ctx).Add(stageConfirm, took)
}

// entry notes what an entry took that was handed to raft at a time.
func (t *timings) entry(times *entryTimes, f raft.ApplyFuture, handed time.Time, err error) entryStages {
	if err != nil {
		return entryStages{}
	}
	took, ok := times.since(handed, f.Index())
	if ok {
		t.stages[stageAppend].Observe(took.append.Seconds())
		t.stages[stageReplicate].Observe(took.replicate.Seconds())
		t.stages[stageApply].Observe(took.apply.Seconds())
	}
	return took
}
