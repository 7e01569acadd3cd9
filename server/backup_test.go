package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pfs-project/pfs/backup"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/store"
)

// shared is what the nodes of a cluster have in common.
type shared struct {
	mu     sync.Mutex
	saved  fsm.SavedBackup
	leader string
	index  atomic.Uint64
}

// fakeNode is one of them. What it writes takes a second.
type fakeNode struct {
	*shared
	id     string
	broken error // of Backup
	cut    bool  // what it writes is no backup
	slow   time.Duration
	open   atomic.Int32
}

func (n *fakeNode) ID() string { return n.id }

func (n *fakeNode) Leads() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leader == n.id
}

func (n *fakeNode) set(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

func (n *fakeNode) LastSaved() (fsm.SavedBackup, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.saved, true
}

func (n *fakeNode) NoteSaved(_ context.Context, s fsm.SavedBackup) error {
	if !n.Leads() {
		return errors.New("no leader")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.saved = s
	return nil
}

func (n *fakeNode) Backup(context.Context) (backup.Source, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.broken != nil {
		return nil, n.broken
	}
	n.open.Add(1)
	return &fakeSource{n, backup.Header{Cluster: "c", Time: time.Now(), Index: n.index.Add(1), Digest: emptyDigest()}}, nil
}

func emptyDigest() string {
	sum := store.NewHasher().Sum()
	return fmt.Sprintf("%x", sum[:])
}

type fakeSource struct {
	n *fakeNode
	h backup.Header
}

func (s *fakeSource) Header() backup.Header { return s.h }
func (s *fakeSource) Close() error          { s.n.open.Add(-1); return nil }
func (s *fakeSource) Write(ctx context.Context, to io.Writer) (int64, error) {
	s.n.mu.Lock()
	slow, cut := s.n.slow, s.n.cut
	s.n.mu.Unlock()
	w, err := backup.NewWriter(to, s.h)
	if err == nil {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return w.Bytes(), ctx.Err()
		}
	}
	if cut || err != nil {
		return w.Bytes(), err
	}
	err = w.End()
	return w.Bytes(), err
}

func (n *fakeNode) schedule(dir string, every time.Duration, keep int) *schedule {
	return newSchedule(n, dirTarget{dir, n.id}, every, keep, slog.New(slog.DiscardHandler))
}

func listed(t *testing.T, dir string) []string {
	t.Helper()
	names, err := dirTarget{dir: dir}.List()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// figure returns the value of a counter or a gauge.
func figure(t *testing.T, c prometheus.Collector) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	if err := r.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(families, err)
	}
	m := families[0].GetMetric()[0]
	return m.GetCounter().GetValue() + m.GetGauge().GetValue()
}

// Over a day with changing leaders there is one backup an hour, in one shared
// directory, of which the newest are kept.
func TestScheduledBackups(t *testing.T) {
	dir := t.TempDir()
	foreign := []string{"notes.txt", "pfs-other-19990101T000000Z-1.pfsbackup", "pfs-c-19990101T000000Z-1.pfsbackup.n9.part", "pfs-c-x.pfsbackup"}
	for _, name := range append([]string{"pfs-c-19990101T000000Z-1.pfsbackup", "pfs-c-19990101T000000Z-1.pfsbackup.n1.part"}, foreign...) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		common := &shared{leader: "n1"}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var all []*schedule
		for i := range 3 {
			n := &fakeNode{shared: common, id: fmt.Sprint("n", i+1), slow: 10 * time.Second}
			s := n.schedule(dir, time.Hour, 5)
			all = append(all, s)
			wg.Go(func() { s.run(ctx) })
		}
		for range 24 * 4 {
			<-time.After(15*time.Minute + time.Second)
			common.mu.Lock()
			common.leader = fmt.Sprint("n", time.Now().Minute()%3+1)
			common.mu.Unlock()
		}
		<-time.After(time.Hour)
		cancel()
		wg.Wait()
		var made, failed float64
		for _, s := range all {
			made += figure(t, s.made)
			failed += figure(t, s.failed)
		}
		if made < 20 || made > 25 || failed > 5 {
			t.Errorf("%v backups, %v failed", made, failed)
		}
		if at := figure(t, all[0].collectors()[4]); time.Since(time.Unix(int64(at), 0)) > 65*time.Minute {
			t.Errorf("the last one was at %v", at)
		}
	})
	names := listed(t, dir)
	var own []string
	for _, name := range names {
		if _, ok := backup.Named("c", name); ok {
			own = append(own, name)
		}
	}
	if len(own) != 5 || slices.Contains(own, "pfs-c-19990101T000000Z-1.pfsbackup") {
		t.Errorf("kept: %v", own)
	}
	for i := 1; i < len(own); i++ {
		a, _ := backup.Named("c", own[i-1])
		b, _ := backup.Named("c", own[i])
		if b.Sub(a) < 59*time.Minute || b.Sub(a) > 70*time.Minute {
			t.Errorf("%v after %v", b, a)
		}
	}
	for _, name := range foreign {
		if !slices.Contains(names, name) {
			t.Errorf("%s was removed", name)
		}
	}
	if len(names) != len(own)+len(foreign) {
		t.Errorf("left over: %v", names)
	}
}

// Failures are counted and tried again; what is no backup never gets its name.
func TestScheduledBackupFails(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{shared: &shared{leader: "n1"}, id: "n1", broken: errors.New("disk")}
		s := n.schedule(filepath.Join(dir, "new"), time.Hour, 2)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { s.run(ctx) })
		<-time.After(11 * time.Minute)
		synctest.Wait()
		if f := figure(t, s.failed); f != 3 {
			t.Errorf("%v failures", f)
		}
		n.set(func() { n.broken, n.cut = nil, true })
		<-time.After(5 * time.Minute)
		synctest.Wait()
		if f := figure(t, s.failed); f != 4 || len(listed(t, s.to.(dirTarget).dir)) > 0 || n.open.Load() != 0 {
			t.Errorf("%v failures, %v", f, listed(t, s.to.(dirTarget).dir))
		}
		n.set(func() { n.cut, n.slow = false, 3*time.Minute })
		<-time.After(5*time.Minute + 10*time.Second) // in the middle of it
		n.set(func() { n.leader = "n2" })
		<-time.After(10 * time.Second)
		synctest.Wait()
		if f := figure(t, s.failed); f != 5 || len(listed(t, s.to.(dirTarget).dir)) > 0 || n.open.Load() != 0 {
			t.Errorf("%v failures, %v, %d open", f, listed(t, s.to.(dirTarget).dir), n.open.Load())
		}
		cancel()
		wg.Wait()
	})
}

// The one just made stays, whatever the clock said before.
func TestPrune(t *testing.T) {
	dir := t.TempDir()
	s := (&fakeNode{shared: &shared{}, id: "n1"}).schedule(dir, time.Hour, 2)
	for _, day := range []int{1, 2, 3, 28} {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("pfs-c-202601%02dT000000Z-1.pfsbackup", day)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.prune("c", "pfs-c-20260101T000000Z-1.pfsbackup"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(listed(t, dir), " "); got != "pfs-c-20260101T000000Z-1.pfsbackup pfs-c-20260128T000000Z-1.pfsbackup" {
		t.Error(got)
	}
	for now, want := range map[time.Duration]bool{0: false, time.Minute: false, 61 * time.Minute: true, -time.Minute: false, -2 * time.Hour: true} {
		at := time.Unix(1e9, 0)
		if s.due(fsm.SavedBackup{Begun: at, Done: at}, at.Add(now)) != want {
			t.Error(now)
		}
	}
	var b bytes.Buffer
	if _, err := (&fakeSource{&fakeNode{shared: &shared{}}, backup.Header{Digest: emptyDigest()}}).Write(t.Context(), &b); err != nil {
		t.Error(err)
	}
}
