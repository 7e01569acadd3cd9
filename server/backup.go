package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pfs-project/pfs/backup"
	"github.com/pfs-project/pfs/fsm"
)

const (
	backupLook  = time.Second     // between two looks whether one is due
	backupRetry = 5 * time.Minute // after a failure, unless they are due more often
)

// saver is a node of which backups are made; cluster.Node is one.
type saver interface {
	ID() string
	Leads() bool
	Backup(ctx context.Context) (backup.Source, error)
	// LastSaved and NoteSaved read and write what the cluster knows of
	// scheduled backups.
	LastSaved() (fsm.SavedBackup, bool)
	NoteSaved(ctx context.Context, s fsm.SavedBackup) error
}

// target is where scheduled backups go.
type target interface {
	// Put keeps all that write gives under a name, durable and read back, or
	// nothing.
	Put(name string, write func(io.Writer) error) error
	// List returns the names of what is there, in any order.
	List() ([]string, error)
	Remove(name string) error
}

// schedule makes a backup now and then, on the node that leads.
type schedule struct {
	node  saver
	to    target
	every time.Duration
	keep  int
	log   *slog.Logger

	made, failed prometheus.Counter
	took, size   prometheus.Gauge
}

func newSchedule(node saver, to target, every time.Duration, keep int, log *slog.Logger) *schedule {
	return &schedule{node: node, to: to, every: every, keep: keep, log: log,
		made: prometheus.NewCounter(prometheus.CounterOpts{Name: "pfs_backups_total",
			Help: "Scheduled backups that this node has made."}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "pfs_backup_failures_total",
			Help: "Scheduled backups that this node has failed to make."}),
		took: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pfs_backup_last_duration_seconds",
			Help: "Time that the last scheduled backup of this node took."}),
		size: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pfs_backup_last_bytes",
			Help: "Bytes of the last scheduled backup of this node."}),
	}
}

// collectors returns the figures of the schedule. The time of the last success
// is that of the cluster, on every node.
func (s *schedule) collectors() []prometheus.Collector {
	last := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pfs_backup_last_success_timestamp_seconds",
		Help: "When the last scheduled backup of the cluster was made; 0 for never."}, func() float64 {
		last, _ := s.node.LastSaved()
		return float64(max(last.Done.Unix(), 0))
	})
	every := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pfs_backup_interval_seconds",
		Help: "How often the schedule makes a backup."}, func() float64 { return s.every.Seconds() })
	return []prometheus.Collector{s.made, s.failed, s.took, s.size, last, every}
}

// run makes backups until ctx is done.
func (s *schedule) run(ctx context.Context) {
	t := time.NewTicker(min(backupLook, s.every/2))
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		last, _ := s.node.LastSaved()
		if !s.node.Leads() || !s.due(last, time.Now()) {
			continue
		}
		start := time.Now()
		done, err := s.make(ctx, last)
		switch {
		case err == nil:
			s.made.Inc()
			s.took.Set(time.Since(start).Seconds())
			s.size.Set(float64(done.Bytes))
			s.log.Info("backup made", "name", done.Name, "index", done.Index, "bytes", done.Bytes)
		case ctx.Err() == nil:
			s.failed.Inc()
			s.log.Error("backup failed", "error", err)
		}
	}
}

// due reports whether it is time for the next one. A time to come, left by a
// clock that was wrong, does not count for longer than an interval.
func (s *schedule) due(last fsm.SavedBackup, now time.Time) bool {
	over := func(at time.Time, d time.Duration) bool {
		since := now.Sub(at)
		return since >= d || since < -d
	}
	return over(last.Done, s.every) && over(last.Begun, min(s.every, backupRetry))
}

var errNoLeader = errors.New("this node no longer leads")

// make makes one backup, unless the leadership is lost meanwhile.
func (s *schedule) make(ctx context.Context, last fsm.SavedBackup) (fsm.SavedBackup, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go s.watch(ctx, cancel)
	last.Begun = time.Now()
	if err := s.node.NoteSaved(ctx, last); err != nil {
		return last, err
	}
	src, err := s.node.Backup(ctx)
	if err != nil {
		return last, err
	}
	defer src.Close()
	h := src.Header()
	done := fsm.SavedBackup{Begun: last.Begun, Name: h.Name(), Index: h.Index}
	err = s.to.Put(done.Name, func(w io.Writer) (err error) {
		done.Bytes, err = src.Write(ctx, w)
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return err
	})
	if err != nil {
		return last, err
	}
	done.Done = time.Now()
	if err := s.prune(h.Cluster, done.Name); err != nil {
		s.log.Warn("old backups are not removed", "error", err)
	}
	return done, s.node.NoteSaved(ctx, done)
}

// watch ends ctx when the node no longer leads.
func (s *schedule) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	t := time.NewTicker(backupLook / 4)
	defer t.Stop()
	for s.node.Leads() {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
	cancel(errNoLeader)
}

// prune removes the oldest backups of the cluster until no more than wanted are
// left. What has another name is not touched, nor is the one just made, whatever
// the clock said when the others were.
func (s *schedule) prune(cluster, newest string) error {
	names, err := s.to.List()
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		_, ok := backup.Named(cluster, name)
		return !ok || name == newest
	})
	slices.SortFunc(names, func(a, b string) int {
		at, _ := backup.Named(cluster, a)
		bt, _ := backup.Named(cluster, b)
		return bt.Compare(at)
	})
	for _, name := range names[min(len(names), s.keep-1):] {
		if rerr := s.to.Remove(name); rerr != nil {
			err = errors.Join(err, fmt.Errorf("remove %s: %w", name, rerr))
		}
	}
	return err
}
