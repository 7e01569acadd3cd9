package cluster

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/raftlog"
	"github.com/pfs-project/pfs/secret"
)

// deadLog is a log whose disk is gone.
type deadLog struct{ raftlog.Store }

func (deadLog) SetUint64([]byte, uint64) error { return errors.New("disk is gone") }

// TestBeginsAgain has a node lose its power in the middle of beginning its
// cluster: raft has its first term, and no voters yet.
func TestBeginsAgain(t *testing.T) {
	g := newGang(t, 1, nil)
	g.stop(0)
	c := g.conf[0]
	c.Dir = filepath.Join(t.TempDir(), "new")
	b, err := json.Marshal(card{Node: "n1", Cluster: "promised", Key: secret.NewKey().Text(), Forming: []server{{"n1", c.Address}}})
	if err = errors.Join(err, os.MkdirAll(c.Dir, 0o755), os.WriteFile(filepath.Join(c.Dir, identityFile), b, 0o600)); err != nil {
		t.Fatal(err)
	}
	logs, err := raftlog.OpenBolt(filepath.Join(c.Dir, raftDir))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(logs.SetUint64([]byte(currentTerm), 1), logs.Close()); err != nil {
		t.Fatal(err)
	}
	g.conf[0] = c
	g.start(0)
	g.ready()
	g.write(0, "/m/a", "x")
}

// TestFailedNodeIsMuted has the leader fail because it cannot keep its vote:
// nobody hears it any more, so the others go on.
func TestFailedNodeIsMuted(t *testing.T) {
	g := newGang(t, 3, func(_ int, c *Config) { c.Fatal = func(error) {} })
	old := g.leader()
	n := g.nodes[old]
	b := ballot{deadLog{n.logs}, n}
	if err := b.SetUint64([]byte(currentTerm), 9); err != nil || n.Failed() == nil {
		t.Errorf("a vote that is not kept: %v, and the node goes on", err)
	}
	poll(t, "another leader", func() bool {
		for i, o := range g.nodes {
			if i != old && o.raft.State() == raft.Leader && o.reign.Load() != nil {
				return true
			}
		}
		return false
	})
	g.write((old+1)%3, "/m/a", "x")
}
