package fsm

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/wire"
)

// node is a Machine under a real raft, over a network in memory.
type node struct {
	*rig
	raft  *raft.Raft
	logs  *raft.InmemStore
	trans *raft.InmemTransport
	dir   string
}

func (n *node) start(t *testing.T) {
	t.Helper()
	n.rig = newRig(t, onDisk(n.dir))
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(n.trans.LocalAddr())
	conf.HeartbeatTimeout, conf.ElectionTimeout, conf.LeaderLeaseTimeout = 5*time.Second, 5*time.Second, 5*time.Second // a busy machine is no fault
	conf.CommitTimeout = 5 * time.Millisecond
	conf.TrailingLogs, conf.NoSnapshotRestoreOnStart = 1, true
	conf.Logger = hclog.NewNullLogger()
	r, err := raft.NewRaft(conf, n.Machine, n.logs, n.logs, n.Snapshots(), n.trans)
	if err != nil {
		t.Fatal(err)
	}
	n.raft = r
	t.Cleanup(func() { _ = r.Shutdown().Error() })
}

func (n *node) stop(t *testing.T) {
	t.Helper()
	if err := n.raft.Shutdown().Error(); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

func (n *node) propose(t *testing.T, ops ...vfs.Op) {
	t.Helper()
	f := n.raft.Apply(wire.AppendBatch(nil, []vfs.Event{n.event(ops...)}), time.Minute)
	if err := f.Error(); err != nil {
		t.Fatal(err)
	}
	if out := f.Response().([]vfs.Outcome); out[0].Err != nil {
		t.Fatal(out[0].Err)
	}
}

// Under raft: a node that joins late gets a snapshot, one that restarts gets
// the tail of the log, and a backup that is loaded replaces the state of all.
func TestUnderRaft(t *testing.T) {
	var nodes []*node
	for range 3 {
		_, trans := raft.NewInmemTransport("")
		nodes = append(nodes, &node{logs: raft.NewInmemStore(), trans: trans, dir: t.TempDir()})
	}
	for _, a := range nodes {
		for _, b := range nodes {
			a.trans.Connect(b.trans.LocalAddr(), b.trans)
		}
	}
	lead := nodes[0]
	lead.start(t)
	id := func(n *node) raft.ServerID { return raft.ServerID(n.trans.LocalAddr()) }
	boot := raft.Configuration{Servers: []raft.Server{{ID: id(lead), Address: lead.trans.LocalAddr()}}}
	if err := lead.raft.BootstrapCluster(boot).Error(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return lead.raft.State() == raft.Leader })
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			lead.propose(t, write("/b/x", fmt.Sprint(i)), write("/b/"+vfs.Path(fmt.Sprint(i)), "1"))
		}
	}
	lead.propose(t, mountOp("/b", "box"))
	fill(0, 20)
	if err := lead.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	if first, _ := lead.logs.FirstIndex(); first < 10 {
		t.Fatalf("the log still starts at %d", first)
	}
	for _, n := range nodes[1:] {
		n.start(t)
		if err := lead.raft.AddVoter(id(n), n.trans.LocalAddr(), 0, time.Minute).Error(); err != nil {
			t.Fatal(err)
		}
	}
	same := func() {
		t.Helper()
		if err := lead.raft.Barrier(time.Minute).Error(); err != nil {
			t.Fatal(err)
		}
		want := lead.digest()
		for _, n := range nodes[1:] {
			eventually(t, func() bool { return n.Applied() >= lead.Applied() && n.digest() == want })
			if a, ai := n.LastConfig(); fmt.Sprint(a, ai) != fmt.Sprint(lead.LastConfig()) {
				t.Errorf("configuration %v at %d", a, ai)
			}
		}
	}
	same()
	nodes[2].stop(t)
	fill(20, 40)
	nodes[2].start(t)
	same()

	meta, backup, err := lead.Snapshots().Open(liveID)
	if err != nil {
		t.Fatal(err)
	}
	saved := lead.digest()
	fill(40, 50)
	if err := lead.raft.Restore(meta, backup, time.Minute); err != nil {
		t.Fatal(err)
	}
	_ = backup.Close()
	if lead.digest() != saved || lead.read("/b/45") != "-" {
		t.Error("not the state of the backup")
	}
	same()
	fill(50, 60) // numbers go on above all old ones
	same()
	for _, n := range nodes {
		if len(n.fatal) > 0 {
			t.Error(n.fatal)
		}
	}
}
