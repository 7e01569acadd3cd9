package cluster

import (
	"errors"
	"fmt"
	"testing"

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
