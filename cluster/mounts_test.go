package cluster

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pfs-project/pfs/fsm"
)

// A node is ready while it waits for what comes only to nodes that are ready.
func TestSettled(t *testing.T) {
	t.Parallel()
	f := newFileMounts([]fsm.FileMount{{Path: "/ext"}})
	for err, ready := range map[error]bool{
		fmt.Errorf("%w: ext", errNotLoaded):             true,
		fmt.Errorf("%w: feature level 99", errLater):    true,
		errors.New("the settings of ext are no object"): false,
	} {
		f.set(0, MountPending, err, 0)
		if said := f.settled(); (said == nil) != ready {
			t.Errorf("%v: %v", err, said)
		}
	}
}

// A node serves once its mounts have been asked for, whatever became of them, and
// after a while in any case; what comes later is no matter of it.
func TestAsked(t *testing.T) {
	t.Parallel()
	states := func(err error, s MountState) *fileMounts {
		f := newFileMounts([]fsm.FileMount{{Path: "/a"}, {Path: "/b"}})
		f.start()
		f.set(0, MountUp, nil, 0)
		f.set(1, s, err, 0)
		return f
	}
	refused := errors.New("the settings of b are no object")
	for _, c := range []struct {
		state MountState
		err   error
		asked bool
	}{
		{MountPending, nil, false},
		{MountPending, fmt.Errorf("%w: waits for feature level 2", errNotYet), false},
		{MountPending, fmt.Errorf("%w: feature level 99", errLater), true},
		{MountPending, fmt.Errorf("%w: ext", errNotLoaded), true},
		{MountPending, refused, true},
		{MountDown, refused, true},
		{MountUp, nil, true},
	} {
		f := states(c.err, c.state)
		if said := f.asked(); (said == nil) != c.asked {
			t.Errorf("%s, %v: %v", c.state, c.err, said)
		}
	}
	f := states(nil, MountUp)
	if !f.start() {
		t.Error("all are up, and the node waits")
	}
	if f.set(1, MountPending, nil, 0); f.asked() != nil {
		t.Error("a node that serves waits again for a mount")
	}
	f = states(nil, MountPending)
	f.from = time.Now().Add(-2 * mountPatience)
	if err := f.asked(); err != nil {
		t.Errorf("after two times its patience: %v", err)
	}
}

// TestMountsOfANodeThatIsBehind has a node that is an entry behind look after its
// mounts: one that is there is up, and of one that is not it does not know yet.
func TestMountsOfANodeThatIsBehind(t *testing.T) {
	g := newGang(t, 1, nil)
	n := g.nodes[0]
	poll(t, "the mount to be up", func() bool { return n.Mounts()["/m"] == MountUp })
	i := slices.IndexFunc(n.mounts.list, func(m fsm.FileMount) bool { return m.Path == "/m" })
	n.mounts.set(i, MountPending, nil, time.Hour)
	none := n.mounts.list[i]
	none.Path = "/none"
	n.mountFile(testContext(t), i, none, true)
	if s, err := n.mounted(none); s != MountPending {
		t.Errorf("it has made a mount that it did not know to be missing: %s, %v", s, err)
	}
	n.mounts.set(i, MountPending, nil, time.Hour)
	n.mountFile(testContext(t), i, n.mounts.list[i], true)
	if s := n.Mounts()["/m"]; s != MountUp {
		t.Errorf("a mount that is there is %s", s)
	}
}
