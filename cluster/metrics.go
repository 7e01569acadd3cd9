package cluster

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pfs-project/pfs/store"
)

// metrics is what a node counts of itself.
type metrics struct {
	timings
	proposals *prometheus.CounterVec // by how they ended
	latency   prometheus.Histogram
	batch     prometheus.Histogram
	entryLen  prometheus.Histogram
	fsync     prometheus.Histogram
	syncs     prometheus.Counter
	throttled prometheus.Counter
	leaders   prometheus.Counter
	terms     prometheus.Counter
	sent      prometheus.Counter
	fetched   prometheus.Counter
	swept     prometheus.Counter
	damaged   prometheus.Counter
	crammed   prometheus.Counter
	slow      prometheus.Counter
	snapshot  prometheus.Histogram
	install   prometheus.Histogram
	sends     *prometheus.CounterVec // of snapshots, by how they ended
	installs  *prometheus.CounterVec // the same on the other side
	shipped   prometheus.Counter
	received  prometheus.Counter
	repeats   prometheus.Counter
	recent    recent
	reloads   *prometheus.CounterVec // of the certificates, by how they ended
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	histogram := newHistogram
	m := &metrics{
		timings: newTimings(),
		proposals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pfs_proposals_total",
			Help: "Requests that this node, as the leader, handed to the log."}, []string{"outcome"}),
		latency:   histogram("pfs_proposal_seconds", "Time from the queue to the applied state.", 0.0005, 2, 15),
		batch:     histogram("pfs_entry_events", "Events in one log entry.", 1, 2, 13),
		entryLen:  histogram("pfs_entry_bytes", "Bytes of one log entry.", 64, 4, 8),
		fsync:     histogram("pfs_log_append_seconds", "Time of one durable append to the log.", 0.0001, 2, 16),
		syncs:     counter("pfs_log_syncs_total", "Times that the log was synced to disk."),
		throttled: counter("pfs_throttled_total", "Requests refused because too much was under way."),
		leaders:   counter("pfs_leader_changes_total", "Leaders that this node has seen."),
		terms:     counter("pfs_terms_led_total", "Terms that this node has led."),
		sent:      counter("pfs_chunk_sent_bytes_total", "Bytes of chunks sent to other nodes."),
		fetched:   counter("pfs_chunk_fetched_bytes_total", "Bytes of chunks fetched from other nodes."),
		swept:     counter("pfs_chunks_swept_total", "Chunks removed from this node."),
		damaged:   counter("pfs_chunks_damaged_total", "Damaged chunks found by the scrub."),
		crammed:   counter("pfs_no_space_total", "Writes refused because the disks have too little space."),
		snapshot:  histogram("pfs_snapshot_seconds", "Time to make the state durable and to cut the log behind it.", 0.001, 2, 16),
		install:   histogram("pfs_snapshot_install_seconds", "Time to take a snapshot from the leader and to install it.", 0.01, 2, 18),
		sends: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pfs_snapshot_sends_total",
			Help: "Snapshots that this node, as the leader, sent to another."}, []string{"outcome"}),
		installs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pfs_snapshot_installs_total",
			Help: "Snapshots that this node took from a leader."}, []string{"outcome"}),
		shipped:  counter("pfs_snapshot_sent_bytes_total", "Bytes of snapshots sent to other nodes."),
		received: counter("pfs_snapshot_received_bytes_total", "Bytes of snapshots received from leaders."),
		repeats:  counter("pfs_snapshot_repeats_total", "Snapshots sent to a node that had made no progress after the one before."),
		slow:     counter("pfs_disk_slow_total", "Calls to the disk that took a second or longer."),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pfs_node_certificate_reloads_total",
			Help: "Times that changed certificate files were read in."}, []string{"outcome"}),
	}
	for _, outcome := range []string{"taken", "failed"} { // shown from the start
		m.sends.WithLabelValues(outcome)
	}
	for _, outcome := range []string{"installed", "failed"} {
		m.installs.WithLabelValues(outcome)
	}
	return m
}

func (m *metrics) appended(syncs float64, d time.Duration) {
	m.syncs.Add(syncs)
	m.fsync.Observe(d.Seconds())
	m.recent.add(d)
}

func (m *metrics) packed(events, bytes int) {
	m.batch.Observe(float64(events))
	m.entryLen.Observe(float64(bytes))
}

// proposed notes how a write ended, after its time in the queue and all of it.
func (m *metrics) proposed(queue, d time.Duration, err error) {
	outcome := "applied"
	if err != nil {
		outcome = "failed"
	}
	m.proposals.WithLabelValues(outcome).Inc()
	m.latency.Observe(d.Seconds())
	m.stages[stageQueue].Observe(queue.Seconds())
}

// Collectors returns the node's figures. They may be read until Stop.
func (n *Node) Collectors() []prometheus.Collector {
	m := n.metrics
	out := []prometheus.Collector{m.proposals, m.latency, m.batch, m.entryLen, m.fsync, m.syncs, m.throttled, m.leaders,
		m.terms, m.sent, m.fetched, m.swept, m.damaged, m.crammed, m.slow, m.snapshot,
		m.install, m.sends, m.installs, m.shipped, m.received, m.repeats, m.reloads, n.refused.total}
	out = append(out, m.collectors()...)
	out = append(out, newPeerFigures(n), n.plugins)
	if n.trust != nil {
		out = append(out, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pfs_node_certificate_expiry_seconds",
			Help: "When the node's certificate expires, in Unix time."},
			func() float64 { return float64(n.trust.now.Load().Expires.Unix()) }))
	}
	for _, g := range []struct {
		name, help string
		value      func() float64
	}{
		{"pfs_commit_index", "Last log entry known to be committed.", func() float64 { return float64(n.raft.CommitIndex()) }},
		{"pfs_applied_index", "Last log entry in the state.", func() float64 { return float64(n.machine.Applied()) }},
		{"pfs_term", "The raft term.", func() float64 { return float64(n.raft.CurrentTerm()) }},
		{"pfs_is_leader", "1 on the node that leads.", func() float64 { return flag(n.reign.Load() != nil) }},
		{"pfs_leader_contact_seconds", "Time since the leader was heard; -1 for never.", n.contactSeconds},
		{"pfs_apply_lag_entries", "Log entries known to be committed and not in the state yet.", func() float64 { return float64(n.lag()) }},
		{"pfs_log_entries", "Entries in the log of this node.", func() float64 { first, last := n.logRange(); return float64(last - first) }},
		{"pfs_log_bytes", "About how many bytes the entries of the log take.", func() float64 { before, last := n.logRange(); return float64(n.logs.Bytes(before+1, last)) }},
		{"pfs_log_disk_bytes", "Files of the log; room that deleted entries have left is used again.", func() float64 { return float64(n.logs.Disk()) }},
		{"pfs_queue_requests", "Requests that wait for a log entry.", func() float64 { c, _ := n.pack.queued(); return float64(c) }},
		{"pfs_queue_limit_requests", "How many requests may wait for a log entry.", func() float64 { return maxQueued }},
		{"pfs_queue_bytes", "Bytes of the requests that wait for a log entry.", func() float64 { _, b := n.pack.queued(); return float64(b) }},
		{"pfs_queue_limit_bytes", "How many bytes of requests may wait for a log entry.", func() float64 { return maxQueuedBytes }},
		{"pfs_chunks", "Chunks on this node.", func() float64 { c, _ := n.blobs.Stats(); return float64(c) }},
		{"pfs_chunk_bytes", "Bytes of the chunks on this node.", func() float64 { _, b := n.blobs.Stats(); return float64(b) }},
		{"pfs_missing_chunks", "Chunks that this node should have and is still to fetch.", func() float64 { return float64(n.missing.lacking()) }},
		{"pfs_chunk_memory_bytes", "Memory held by chunks on their way in.", func() float64 { return float64(n.chunkMem.used()) }},
		{"pfs_chunk_memory_limit_bytes", "How much memory chunks on their way in may hold.", func() float64 { return float64(n.chunkMem.size) }},
		{"pfs_call_memory_bytes", "Memory held by calls between nodes.", func() float64 { return float64(n.callMem.used()) }},
		{"pfs_disk_free_bytes", "Free on the disk of the data directory.", func() float64 { return float64(n.vol.Usage().Free) }},
		{"pfs_disk_size_bytes", "Size of the disk of the data directory.", func() float64 { return float64(n.vol.Usage().Total) }},
		{"pfs_disk_reserve_bytes", "With less than this free, new content is refused.", func() float64 { return float64(n.vol.Usage().Reserve) }},
		{"pfs_disk_full", "1 while the disk has less free than the reserve.", func() float64 { return flag(n.vol.Full()) }},
		{"pfs_call_memory_limit_bytes", "How much memory calls between nodes may hold.", func() float64 { return float64(n.callMem.size) }},
		{"pfs_row_cache_bytes", "Rows of the state that are kept in memory.", func() float64 { return float64(n.machine.Store().RowCache().Bytes) }},
		{"pfs_store_disk_bytes", "Files of the state.", func() float64 { return float64(n.machine.Store().Metrics().DiskBytes) }},
		{"pfs_store_compaction_debt_bytes", "Work that compactions of the state are behind.", func() float64 { return float64(n.machine.Store().Metrics().CompactionDebt) }},
	} {
		out = append(out, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help}, g.value))
	}
	for _, c := range []struct {
		name, help string
		value      func(store.RowCache) uint64
	}{
		{"pfs_row_cache_hits_total", "Reads of a row of the state that found it in memory.", func(r store.RowCache) uint64 { return r.Hits }},
		{"pfs_row_cache_misses_total", "Reads of a row of the state that went to the database.", func(r store.RowCache) uint64 { return r.Misses }},
	} {
		out = append(out, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help},
			func() float64 { return float64(c.value(n.machine.Store().RowCache())) }))
	}
	return out
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// logRange returns the index before the first entry of the log and that of the
// last: what no snapshot covers, and what is kept for followers that lag.
func (n *Node) logRange() (before, last uint64) {
	first, err := n.logs.FirstIndex()
	if err != nil || first == 0 {
		return 0, 0
	}
	if last, err = n.logs.LastIndex(); err != nil {
		return 0, 0
	}
	return first - 1, last
}

func (n *Node) contactSeconds() float64 {
	if d := n.lastContact(); d >= 0 {
		return d.Seconds()
	}
	return -1
}
