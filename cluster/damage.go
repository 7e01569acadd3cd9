package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/pfs-project/pfs/raftlog"
	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
)

// ErrDamaged says that what a node keeps on disk is not what it wrote. The node
// does not run on it: it must neither vote nor answer from it.
var ErrDamaged = errors.New("the data of this node is damaged")

// adviceDamaged is what to do then.
const adviceDamaged = "move its directory aside and start it with an empty one: it gets everything from the other nodes; if most nodes say this, keep all their directories and restore a backup"

// spoils makes an error of opening what a node keeps one that says what to do,
// unless it comes from the surroundings of the node.
func spoils(dir string, err error) error {
	if err == nil || errors.Is(err, ErrDamaged) || !hurts(err) {
		return err
	}
	return fmt.Errorf("%w in %s: %w: %s", ErrDamaged, dir, err, adviceDamaged)
}

// hurts reports whether an error is about what is on disk: not about who may
// use it, how much there is of something, or which version of PFS this is.
func hurts(err error) bool {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		switch errno {
		case syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM,
			syscall.ENOSPC, syscall.EDQUOT, syscall.EAGAIN:
			return false
		}
	}
	var k vfs.Kind
	return !errors.Is(err, ErrLocked) && !errors.Is(err, ErrDirectory) && !errors.Is(err, store.ErrNewer) &&
		!errors.Is(err, raftlog.ErrInUse) && !errors.Is(err, fs.ErrPermission) && !errors.As(err, &k)
}

// spoilt reports whether an error that a running node met is of damage.
func spoilt(err error) bool {
	return errors.Is(err, raftlog.ErrCorrupt) || errors.Is(err, store.ErrCorrupt) || errors.Is(err, ErrDamaged)
}

// checkLog refuses a log and a state that cannot be of one node and one time:
// raft would skip or repeat entries, or forget what it had acknowledged.
func (n *Node) checkLog() error {
	first, err := n.logs.FirstIndex()
	if err != nil {
		return err
	}
	last, err := n.logs.LastIndex()
	if err != nil {
		return err
	}
	term, err := n.logs.GetUint64([]byte(currentTerm))
	if err != nil && err.Error() != "not found" {
		return err
	}
	applied, of := n.machine.AppliedEntry()
	switch whole := n.machine.Installed(); {
	case first > applied+1:
		return fmt.Errorf("the log begins at entry %d, but the state ends at %d", first, applied)
	case last < applied && applied != whole:
		return fmt.Errorf("the log ends at entry %d, but the state at %d", last, applied)
	case term < of:
		return fmt.Errorf("the log is of term %d, but the state of %d", term, of)
	case last > 0:
		return n.checkEnd(last, term, applied)
	}
	return nil
}

// checkEnd looks at the last entry of the log. A log that ends before the state
// was about to be emptied when that state was installed.
func (n *Node) checkEnd(last, term, applied uint64) error {
	at, err := n.logs.Term(last)
	switch {
	case err != nil:
		return err
	case at > term:
		return fmt.Errorf("entry %d is of term %d, but the log of %d", last, at, term)
	case last < applied:
		return n.logs.DeleteRange(1, last)
	}
	return nil
}
