package queuefs

import (
	"context"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// clear drops all but the dead messages, and leaves them to the sweep. Leases
// are lost, since they name the box.
func (s *sqlQueue) clear() error {
	if err := s.discard(s.box); err != nil {
		return err
	}
	s.box = uint64(newBox())
	s.totals.dropped += s.live()
	s.ready, s.delayed, s.lent, s.bytes = 0, 0, 0, 0
	s.stamps[2] = s.now
	return s.save()
}

// discard leaves what has this number to the sweep.
func (s *sqlQueue) discard(box uint64) error {
	return s.exec("INSERT INTO queuefs_trash (box) VALUES (?)", box)
}

// remove takes away a queue with nothing in it, or one dead or delayed message.
func (f *sqlFS) remove(ctx context.Context, q sqldb.Queryer, op vfs.Op) (vfs.Result, error) {
	at := locate(op.Path)
	s, err := f.removable(ctx, q, at)
	switch {
	case err != nil:
		return vfs.Result{}, err
	case at.entry != "":
		return s.removeEntry(at)
	case at.file != "":
		return vfs.Result{}, vfs.Permission.Withf("%s cannot be removed", at.file)
	case s.live()+s.tally.dead > 0:
		return vfs.Result{}, vfs.NotEmpty
	}
	var below bool
	err = q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM queuefs_queues WHERE parent = ?)", s.id).Scan(&below)
	if err == nil && below {
		err = vfs.NotEmpty
	}
	if err != nil {
		return vfs.Result{}, err
	}
	return s.removeTree()
}

// removeAll takes away a queue with all in it, one message, or all dead ones.
func (f *sqlFS) removeAll(ctx context.Context, q sqldb.Queryer, op vfs.Op) (vfs.Result, error) {
	at := locate(op.Path)
	s, err := f.removable(ctx, q, at)
	switch {
	case err != nil:
		return vfs.Result{}, err
	case at.entry != "":
		return s.removeEntry(at)
	case at.file == "dead":
		if err := s.discard(s.grave); err != nil {
			return vfs.Result{}, err
		}
		s.grave, s.tally.dead = uint64(newBox()), 0
		return vfs.Result{Version: uint64(s.now)}, s.save()
	case at.file != "":
		return vfs.Result{}, vfs.Permission.Withf("%s cannot be removed", at.file)
	}
	return s.removeTree()
}

// removable holds the queue that is to be removed, or that something is to be
// removed from.
func (f *sqlFS) removable(ctx context.Context, q sqldb.Queryer, at spot) (*sqlQueue, error) {
	s, err := f.look(ctx, q, at.queue, f.lock())
	switch {
	case err != nil:
		return nil, err
	case s.isRoot() && at.file == "":
		return nil, vfs.Permission.With("cannot remove root directory")
	}
	s.tick()
	return s, nil
}

// removeTree takes the queue and those below it out of the tree.
func (s *sqlQueue) removeTree() (vfs.Result, error) {
	low, high := string(s.path)+"/", string(s.path)+"0" // what follows all that begins with low
	const which = " FROM queuefs_queues WHERE path = ? OR path > ? AND path < ?"
	for _, number := range []string{"id", "box", "grave"} {
		if err := s.exec("INSERT INTO queuefs_trash (box) SELECT "+number+which, string(s.path), low, high); err != nil {
			return vfs.Result{}, err
		}
	}
	if err := s.exec("DELETE"+which, string(s.path), low, high); err != nil {
		return vfs.Result{}, err
	}
	return vfs.Result{Version: uint64(s.now)}, s.exec("UPDATE queuefs_queues SET listed = CASE WHEN listed < ? THEN ? ELSE listed + 1 END WHERE id = ?", s.now, s.now, s.parent)
}

// removeEntry removes a dead message, or calls off a delayed one.
func (s *sqlQueue) removeEntry(at spot) (vfs.Result, error) {
	m, err := s.entry(at)
	switch {
	case err != nil:
		return vfs.Result{}, err
	case at.file == "dead":
		s.tally.dead--
	case at.file == "delayed":
		s.delayed--
		s.bytes -= uint64(m.length)
		s.totals.dropped++
	default:
		return vfs.Result{}, vfs.Permission.Withf("what is in %s cannot be removed", at.file)
	}
	if err := s.drop(m); err != nil {
		return vfs.Result{}, err
	}
	return vfs.Result{Version: uint64(s.now)}, s.save()
}

// entry returns the message that a spot with an entry names.
func (s *sqlQueue) entry(at spot) (sqlMessage, error) {
	if at.file == "inflight" {
		box, fence, ok := parseLease(at.entry)
		if !ok || box != s.box || int64(fence) <= 0 {
			return sqlMessage{}, vfs.NotFound
		}
		return s.one("box = ? AND state = ? AND place = ?", box, sqlLent, fence)
	}
	id, ok := parseUUID(at.entry)
	if !ok {
		return sqlMessage{}, vfs.NotFound
	}
	box, state := s.holds(at.file)
	return s.one("box = ? AND seq = ? AND id = ? AND state = ?", box, sqlSeq(id), id[:], state)
}

// holds returns the box and the state of the messages in a directory.
func (s *sqlQueue) holds(dir string) (box uint64, state int) {
	switch dir {
	case "dead":
		return s.grave, sqlDead
	case "delayed":
		return s.box, sqlDelayed
	}
	return s.box, sqlLent
}
