package queuefs

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// sqlPathMost is the length in bytes of a path that the tables hold.
const sqlPathMost = 3000

// sqlQueue is the row of a queue. Its stamps are microseconds, which are their
// version, too.
type sqlQueue struct {
	tally
	f      *sqlFS
	q      sqldb.Queryer
	ctx    context.Context
	path   vfs.Path
	id     int64
	parent int64
	ctl    sql.NullString // settings that differ, as they were written

	made, listed, ctlAt int64
	stamps              [3]int64 // enqueued, changed, cleared
	now                 int64
}

// sqlFigures are the columns that are numbers.
func sqlFigures() []string {
	return strings.Fields("made listed ctl_at enqueued changed cleared box grave next_seq fence n_ready n_delayed n_inflight n_dead n_bytes " +
		"taken acked nacked expired died redriven dropped duplicates")
}

// figures are where those columns go.
func (s *sqlQueue) figures() []any {
	out := []any{&s.made, &s.listed, &s.ctlAt, &s.stamps[0], &s.stamps[1], &s.stamps[2], &s.box, &s.grave, &s.next, &s.fence,
		&s.ready, &s.delayed, &s.lent, &s.dead, &s.bytes}
	for _, n := range s.totals.all() {
		out = append(out, n)
	}
	return out
}

func stampOf(us int64) stamp { return stamp{us * 1000, uint64(us)} }

// look returns the queue at p. With words to hold it, nothing changes it before
// the end of the transaction.
func (f *sqlFS) look(ctx context.Context, q sqldb.Queryer, p vfs.Path, lock string) (*sqlQueue, error) {
	return f.queueBy(ctx, q, p, "path = ?", string(p), lock)
}

func (f *sqlFS) queueBy(ctx context.Context, q sqldb.Queryer, p vfs.Path, where string, arg any, lock string) (*sqlQueue, error) {
	s := &sqlQueue{f: f, q: q, ctx: ctx, path: p}
	to := append([]any{&s.id, &s.parent, &s.ctl, &s.now}, s.figures()...)
	err := q.QueryRowContext(ctx, "SELECT id, parent, ctl, "+f.clock()+", "+strings.Join(sqlFigures(), ", ")+
		" FROM queuefs_queues WHERE "+where+lock, arg).Scan(to...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, vfs.NotFound
	}
	if err != nil {
		return nil, err // as it is: a transaction may be tried again
	}
	s.enqueued, s.changed, s.cleared = stampOf(s.stamps[0]), stampOf(s.stamps[1]), stampOf(s.stamps[2])
	return s, nil
}

// hold locks the row of s, which was looked at before, and reads it again. Its
// time is one that no earlier change has.
func (s *sqlQueue) hold() error {
	h, err := s.f.queueBy(s.ctx, s.q, s.path, "path = ?", string(s.path), s.f.lock())
	switch {
	case err != nil:
		return err
	case h.id != s.id || h.box != s.box:
		return vfs.Unavailable.With("the queue was cleared or made anew meanwhile; try again")
	}
	*s = *h
	s.tick()
	return nil
}

// tick moves the time on to one that no earlier change has.
func (s *sqlQueue) tick() {
	s.now = max(s.now, s.stamps[0]+1, s.stamps[1]+1, s.stamps[2]+1, s.made+1, s.listed+1, s.ctlAt+1)
}

// save writes the row as changed now. The caller holds it.
func (s *sqlQueue) save() error {
	s.stamps[1] = s.now
	s.changed = stampOf(s.now)
	args := []any{s.ctl}
	for _, p := range s.figures() {
		switch p := p.(type) {
		case *int64:
			args = append(args, *p)
		case *uint64:
			args = append(args, int64(*p))
		}
	}
	return s.exec("UPDATE queuefs_queues SET ctl = ?, "+strings.Join(sqlFigures(), " = ?, ")+" = ? WHERE path = ?", append(args, string(s.path))...)
}

func (s *sqlQueue) exec(query string, args ...any) error {
	_, err := s.q.ExecContext(s.ctx, query, args...)
	return err
}

// options returns the settings of the queue.
func (s *sqlQueue) options() (settings, error) {
	set := standard()
	err := set.read(s.ctl.String)
	set.at = stampOf(s.ctlAt)
	if s.ctlAt == 0 {
		set.at = stampOf(s.made)
	}
	return set, err
}

func (s *sqlQueue) isRoot() bool { return s.id == rootID }

// newBox returns an id that no other box and no other queue has.
func newBox() int64 { return time.Now().UnixMilli()<<20&math.MaxInt64 | rand.Int64N(1<<20) }

// makeQueues holds the queue at p, and makes what is missing.
func (f *sqlFS) makeQueues(ctx context.Context, q sqldb.Queryer, p vfs.Path) (*sqlQueue, error) {
	s, err := f.look(ctx, q, p, f.lock())
	if vfs.KindOf(err) != vfs.NotFound {
		if err == nil {
			s.tick()
		}
		return s, err
	}
	if len(p) > sqlPathMost {
		return nil, vfs.Invalid.Withf("the names of a queue and those above it may have %d bytes together", sqlPathMost)
	}
	at := vfs.Root
	for i, name := range p.Elems() {
		up := at
		at = at.Child(name)
		s, err = f.look(ctx, q, at, "")
		switch {
		case vfs.KindOf(err) != vfs.NotFound:
		case reserved(name):
			return nil, vfs.Permission.Withf("%s is a reserved name", name)
		case i == 0 && name == readmeName:
			return nil, vfs.NotDirectory
		default:
			err = f.addQueue(ctx, q, up, at)
		}
		if err != nil {
			return nil, err
		}
	}
	s, err = f.look(ctx, q, p, f.lock())
	if err == nil {
		s.tick()
	}
	return s, err
}

// addQueue makes the queue at p in the one at up.
func (f *sqlFS) addQueue(ctx context.Context, q sqldb.Queryer, up, p vfs.Path) error {
	dir, err := f.look(ctx, q, up, f.lock())
	if err != nil {
		return err
	}
	dir.tick()
	// Fences go on rising in a queue that is made again: the clock is ahead of
	// what one take in a microsecond would have reached.
	if _, err := q.ExecContext(ctx, "INSERT INTO queuefs_queues (path, id, parent, made, listed, enqueued, changed, cleared, box, grave, next_seq, fence) "+
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)", string(p), newBox(), dir.id, dir.now, dir.now, dir.now, dir.now, dir.now, newBox(), newBox(), dir.now); err != nil {
		return err
	}
	return dir.touch()
}

// touch marks the directory as changed now.
func (s *sqlQueue) touch() error {
	return s.exec("UPDATE queuefs_queues SET listed = ? WHERE path = ?", s.now, string(s.path))
}
