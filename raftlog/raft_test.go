package raftlog

import (
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// counter is a state machine that counts commands.
type counter struct{ n int }

func (c *counter) Apply(*raft.Log) any                 { c.n++; return c.n }
func (c *counter) Snapshot() (raft.FSMSnapshot, error) { return c, nil }
func (c *counter) Persist(s raft.SnapshotSink) error   { return s.Close() }
func (c *counter) Release()                            {}
func (c *counter) Restore(r io.ReadCloser) error       { return r.Close() }

// TestRaftRuns lets raft itself use each store: elect, apply, snapshot and cut
// the log, restart, apply.
func TestRaftRuns(t *testing.T) {
	for name := range stores(t) {
		t.Run(name, func(t *testing.T) {
			open := stores(t)[name]
			snaps := raft.NewInmemSnapshotStore()
			for run := range 3 {
				s := open()
				runRaft(t, s, snaps, run == 0)
				if first, err := s.FirstIndex(); err != nil || first < uint64(50*(run+1))-20 {
					t.Fatalf("run %d: log starts at %d: %v", run, first, err)
				}
				check(t, s.Close())
			}
		})
	}
}

func runRaft(t *testing.T, s Store, snaps raft.SnapshotStore, bootstrap bool) {
	c := raft.DefaultConfig()
	c.LocalID, c.LogLevel, c.TrailingLogs = "n1", "ERROR", 10
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	addr, trans := raft.NewInmemTransport("n1")
	if bootstrap {
		check(t, raft.BootstrapCluster(c, s, s, snaps, trans,
			raft.Configuration{Servers: []raft.Server{{ID: "n1", Address: addr}}}))
	}
	r, err := raft.NewRaft(c, &counter{}, s, s, snaps, trans)
	check(t, err)
	select {
	case <-r.LeaderCh():
	case <-time.After(time.Minute):
		t.Fatal("no leader")
	}
	for range 50 {
		check(t, r.Apply([]byte("command"), time.Minute).Error())
	}
	check(t, r.Snapshot().Error())
	check(t, r.Shutdown().Error())
}
