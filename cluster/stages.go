package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/raftlog"
	"github.com/pfs-project/pfs/trace"
)

// The stages of a write, in their order. Keep and Forward and Follow are those
// of the node that was asked, the others those of the leader.
const (
	stageKeep      = "keep"      // the content is read and, if long, on a quorum
	stageForward   = "forward"   // a follower waits for the leader's answer
	stageQueue     = "queue"     // the write waits to be packed into an entry
	stageAppend    = "append"    // the entry becomes durable in the leader's log
	stageReplicate = "replicate" // a quorum has it, and the state machine takes it
	stageApply     = "apply"     // it becomes part of the leader's state
	stageFollow    = "follow"    // the node that was asked applies it too
	stageConfirm   = "confirm"   // of a linearizable read: a quorum confirms it
)

// stageTimes is a histogram of every stage.
type stageTimes map[string]prometheus.Observer

func newStageTimes() (*prometheus.HistogramVec, stageTimes) {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "pfs_write_stage_seconds",
		Help:    "Time that writes spend in each stage on this node; append, replicate and apply count entries.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 17)}, []string{"stage"})
	times := stageTimes{}
	for _, s := range []string{stageKeep, stageForward, stageQueue, stageAppend, stageReplicate, stageApply, stageFollow} {
		times[s] = v.WithLabelValues(s)
	}
	return v, times
}

// entryStages is what one entry took on the leader.
type entryStages struct{ append, replicate, apply time.Duration }

// note adds what a write took to its trace.
func (e entryStages) note(t *trace.Trace) {
	t.Add(stageAppend, e.append)
	t.Add(stageReplicate, e.replicate)
	t.Add(stageApply, e.apply)
}

// entriesKept is of how many entries the times are remembered; the leader has
// a few under way.
const entriesKept = 256

// entryTimes remembers when the last entries passed each step on this node.
// Safe for concurrent use.
type entryTimes struct {
	mu   sync.Mutex
	ring [entriesKept]entryTime
}

type entryTime struct {
	index                   uint64
	durable, taken, applied time.Time
}

// at returns the place of an entry. The caller holds mu.
func (e *entryTimes) at(index uint64) *entryTime {
	t := &e.ring[index%entriesKept]
	if t.index != index {
		*t = entryTime{index: index}
	}
	return t
}

// appended notes that entries are durable.
func (e *entryTimes) appended(a raftlog.Appended) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range uint64(min(a.Entries, entriesKept)) {
		e.at(a.Last - i).durable = now
	}
}

// folded notes that entries are in the state.
func (e *entryTimes) folded(logs []*raft.Log, taken time.Time) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range logs {
		t := e.at(l.Index)
		t.taken, t.applied = taken, now
	}
}

// since returns what an entry took that was handed to raft at a time.
func (e *entryTimes) since(handed time.Time, index uint64) (s entryStages, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.at(index)
	if t.durable.IsZero() || t.taken.IsZero() {
		return s, false
	}
	return entryStages{max(t.durable.Sub(handed), 0), max(t.taken.Sub(t.durable), 0), t.applied.Sub(t.taken)}, true
}

// folding is the state machine as raft sees it: its times are measured.
type folding struct {
	*fsm.Machine
	n *Node
}

var _ raft.BatchingFSM = folding{}

// ApplyBatch folds committed entries.
func (f folding) ApplyBatch(logs []*raft.Log) []any {
	taken := time.Now()
	out := f.Machine.ApplyBatch(logs)
	f.n.entries.folded(logs, taken)
	f.n.metrics.folded(len(logs), time.Since(taken))
	return out
}

// Apply folds one entry.
func (f folding) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// stage notes that a request spent the time since start in a stage.
func (n *Node) stage(ctx context.Context, stage string, start time.Time) {
	d := time.Since(start)
	n.metrics.stages[stage].Observe(d.Seconds())
	trace.From(ctx).Add(stage, d)
}
