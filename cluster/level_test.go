package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/test/ports"
	"github.com/pfs-project/pfs/vfs"
)

// later is a plugin of the next version.
func later() vfs.Plugin {
	p := memfs.Plugin()
	p.Type, p.Since = "laterfs", fsm.Level+1
	return p
}

// lines is a log that a test reads.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Three nodes are upgraded one by one. What the new version brings is refused
// until the last of them has it, and from then on the old version is.
func TestUpgrade(t *testing.T) {
	g := newGang(t, 3, nil)
	atLevel := func(want uint64) {
		t.Helper()
		poll(t, "the feature level", func() bool {
			for _, n := range g.nodes {
				if n != nil && n.level() != want {
					return false
				}
			}
			return true
		})
	}
	tries := 0
	mount := func(i int) (err error) {
		tries++
		poll(t, "an outcome", func() bool { // a leader may go meanwhile: the key lets it be asked again
			var out vfs.Outcome
			out, err = g.nodes[i].Propose(testContext(t), vfs.Request{Key: fmt.Sprint("mount", tries), Ops: []vfs.Op{{
				Verb: vfs.Mount, Path: "/later", Data: fsm.EncodeMount(fsm.MountSpec{Type: "laterfs"})}}})
			decided := err == nil
			err = errors.Join(err, out.Err)
			return decided
		})
		return err
	}
	atLevel(fsm.Level)
	old, mounts := g.conf[0].Plugins, g.conf[0].Mounts
	filed := fsm.FileMount{Path: "/filed", Type: "laterfs"}
	for i := range g.conf {
		g.stop(i)
		g.conf[i].level, g.conf[i].Plugins = fsm.Level+1, append(old[:len(old):len(old)], later())
		g.conf[i].Mounts = append(mounts[:len(mounts):len(mounts)], filed)
		g.start(i)
		g.ready() // also without what its file asks for and others do not know
		g.write(i, "/m/f", "while nodes differ")
		if i < 2 {
			if err := mount(i); vfs.KindOf(err) != vfs.Invalid {
				t.Errorf("with %d of 3 nodes upgraded: %v", i+1, err)
			}
			g.sameDigest()
		} else if got := g.nodes[i].Mounts()["/filed"]; got != MountUp {
			t.Errorf("the last one is ready and /filed is %s", got)
		}
	}
	atLevel(fsm.Level + 1)
	if err := mount(0); err != nil {
		t.Errorf("after the upgrade: %v", err)
	}
	g.write(1, "/later/f", "new")
	poll(t, "the mount of the file", func() bool { return g.nodes[2].Mounts()[filed.Path] == MountUp })
	g.sameDigest()

	g.stop(2)
	g.conf[2].level, g.conf[2].Plugins, g.conf[2].Mounts = fsm.Level, old, mounts
	if n, err := Start(t.Context(), g.conf[2]); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("the old version starts: %v", err)
		if err == nil {
			_ = n.Stop(t.Context())
		}
	}
	refused := g.conf[2]
	refused.NodeID, refused.Dir = "n4", filepath.Join(t.TempDir(), "data")
	refused.Address = ports.Free(t, 1)[0]
	g.wires.own(refused.Address, 2)
	var said lines
	refused.Log = slog.New(slog.NewTextHandler(&said, nil))
	n, err := Start(t.Context(), refused)
	if err != nil {
		t.Fatal(err)
	}
	poll(t, "the refusal", func() bool { return strings.Contains(said.String(), "needs a newer one") })
	if err := n.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
