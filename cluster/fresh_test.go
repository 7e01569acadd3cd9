package cluster

import (
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/vfs"
)

// gated folds nothing while its gate is locked.
type gated struct {
	vfs.Folder
	gate *sync.RWMutex
}

func (f gated) Apply(tx vfs.Tx, op vfs.Op) (vfs.Result, error) {
	f.gate.RLock()
	defer f.gate.RUnlock()
	return f.Folder.Apply(tx, op)
}

// gatedMemfs is a memfs behind a gate.
func gatedMemfs(gate *sync.RWMutex) vfs.Plugin {
	p := memfs.Plugin()
	open := p.New
	p.New = func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
		fs, err := open(e, c)
		if err != nil {
			return nil, err
		}
		return gated{fs.(vfs.Folder), gate}, nil
	}
	return p
}

// A node that was started again and takes long to catch up does not answer from
// before: its quorum is fine, and others can be asked.
func TestSlowToCatchUp(t *testing.T) {
	t.Parallel()
	var gates [3]sync.RWMutex
	g := newGang(t, 3, func(i int, c *Config) {
		c.Plugins, c.patience = []vfs.Plugin{gatedMemfs(&gates[i])}, pace*4*time.Second
	})
	g.write(0, "/m/a", "old")
	away := (g.leader() + 1) % 3
	g.stop(away)
	g.write((away+1)%3, "/m/a", "new")
	gates[away].Lock()
	release := sync.OnceFunc(gates[away].Unlock)
	t.Cleanup(release) // before the node is stopped
	g.start(away)
	behind := func(when string) {
		t.Helper()
		if g.nodes[away].Ready() == nil {
			t.Errorf("it is ready before it has caught up%s", when)
		}
		for range 2 { // each waits for as long as a quorum is looked for
			if b, err := g.readOnce(away, "/m/a", vfs.Level{}); vfs.KindOf(err) != vfs.Unavailable {
				t.Errorf("a read before it has caught up%s: %q, %v", when, b, err)
			}
		}
	}
	behind("")
	poll(t, "leadership to be handed over", func() bool {
		id := g.nodes[away].id
		to, ok := g.nodes[away].book.find(id)
		return ok && g.nodes[g.leader()].raft.LeadershipTransferToServer(raft.ServerID(id), raft.ServerAddress(to.address)).Error() == nil
	})
	behind(", as the leader")
	release()
	if b, err := g.read(away, "/m/a", vfs.Level{}); err != nil || string(b) != "new" {
		t.Errorf("a read after it has caught up: %q, %v", b, err)
	}
}
