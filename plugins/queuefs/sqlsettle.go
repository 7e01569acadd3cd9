package queuefs

import (
	"context"
	"strings"
	"time"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// settle does what has come due in a queue, if there is something. A queue that
// is missing has nothing.
func (f *sqlFS) settle(ctx context.Context, p vfs.Path) error {
	for more := true; more; {
		s, err := f.look(ctx, f.db.Reader(), p, "")
		if err != nil {
			return orNil(vfs.KindOf(err) != vfs.NotFound, sqldb.Kind(err))
		}
		if due, err := s.messages("box = ? AND due > 0 AND due <= ? LIMIT 1", s.box, s.now); err != nil || len(due) == 0 {
			return sqldb.Kind(err)
		}
		err = f.db.Update(ctx, func(q sqldb.Queryer) error {
			s, err := f.look(ctx, q, p, "")
			if err == nil {
				more, err = s.settleDue()
			}
			return err
		})
		if err != nil {
			return sqldb.Known(err) // what is due is so the next time, too
		}
	}
	return nil
}

// orders does what was written to ack, nack or extend, all of it or nothing.
func (f *sqlFS) orders(ctx context.Context, q sqldb.Queryer, at spot, op vfs.Op) (vfs.Result, error) {
	list, err := orders(at.file, op)
	if err != nil {
		return vfs.Result{}, err
	}
	s, err := f.look(ctx, q, at.queue, "")
	if err != nil {
		return vfs.Result{}, err
	}
	rows := make([]sqlMessage, len(list))
	for i, o := range list {
		if rows[i], err = s.lease(o.Lease); err != nil {
			return vfs.Result{}, err
		}
	}
	if err := s.hold(); err != nil {
		return vfs.Result{}, err
	}
	set, err := s.options()
	if err != nil {
		return vfs.Result{}, err
	}
	var a answer
	done := map[uint64]bool{}
	for i, o := range list {
		if m := &rows[i]; m.due <= s.now || done[m.seq] && at.file != "extend" {
			return vfs.Result{}, vfs.LeaseLost.Withf("%s: it was good until %s", o.Lease, timestamp(m.due*1000))
		}
		done[rows[i].seq] = true
		if err := s.order(at.file, o, rows[i], set, &a); err != nil {
			return vfs.Result{}, err
		}
	}
	if err := s.save(); err != nil {
		return vfs.Result{}, err
	}
	return a.result(op.Size(), uint64(s.now))
}

// lease finds the message of a lease of the queue, and holds it.
func (s *sqlQueue) lease(text string) (sqlMessage, error) {
	box, fence, ok := parseLease(text)
	if !ok {
		return sqlMessage{}, vfs.Invalid.Withf("%.64q is not a lease that take gave", text)
	}
	m, err := sqlMessage{}, error(vfs.NotFound)
	if box == s.box && int64(fence) > 0 {
		m, err = s.one("box = ? AND state = ? AND place = ?"+s.f.lock(), box, sqlLent, fence)
	}
	if vfs.KindOf(err) == vfs.NotFound {
		err = vfs.LeaseLost.Withf("%s: the message has been settled, or has gone back", text)
	}
	return m, err
}

// order settles one lease.
func (s *sqlQueue) order(file string, o order, m sqlMessage, set settings, a *answer) (err error) {
	var d time.Duration
	switch file {
	case "ack":
		s.lent--
		s.bytes -= uint64(m.length)
		s.totals.acked++
		a.Acked++
		return s.drop(m)
	case "extend":
		if d = set.lease; o.For != "" {
			if d, err = duration("for", o.For, leaseLeast, leaseMost); err != nil {
				return err
			}
		}
		m.due = s.now + d.Microseconds()
		a.Extended++
		a.Deadlines = append(a.Deadlines, timestamp(m.due*1000))
		return s.put(m, s.box)
	}
	if o.Delay != "" {
		if d, err = duration("delay", o.Delay, 0, delayMost); err != nil {
			return err
		}
	}
	s.totals.nacked++
	a.Nacked++
	if s.back(&m, set, d, o.Reason, "nack without a reason") {
		a.Dead++
	}
	return s.put(m, s.box)
}

// redrive answers a write of ids or "*" to redrive.
func (f *sqlFS) redrive(ctx context.Context, q sqldb.Queryer, at spot, op vfs.Op) (vfs.Result, error) {
	words := strings.Fields(string(op.Data))
	if len(words) == 0 {
		return vfs.Result{}, vfs.Invalid.With("redrive takes ids of dead messages, one a line, or *")
	}
	s, err := f.look(ctx, q, at.queue, f.lock())
	if err != nil {
		return vfs.Result{}, err
	}
	s.tick()
	var n uint64
	if len(words) == 1 && words[0] == "*" {
		n, err = s.reviveAll()
	} else {
		n, err = s.reviveEach(words)
	}
	if err == nil {
		err = s.save()
	}
	if err != nil {
		return vfs.Result{}, err
	}
	return answer{Redriven: &n}.result(op.Size(), uint64(s.now))
}

func (s *sqlQueue) reviveAll() (n uint64, err error) {
	var size uint64
	if err := s.q.QueryRowContext(s.ctx, "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM queuefs_messages WHERE box = ?", s.grave).Scan(&n, &size); err != nil {
		return 0, err
	}
	s.ready, s.dead, s.bytes, s.totals.redriven = s.ready+n, s.dead-n, s.bytes+size, s.totals.redriven+n
	return n, s.exec("UPDATE queuefs_messages SET box = ?, state = ?, place = (? - priority) * ? + seq, attempt = 0, at = ?, reason = NULL WHERE box = ?",
		s.box, sqlReady, topmost, int64(1)<<seqBits, s.now, s.grave)
}

func (s *sqlQueue) reviveEach(words []string) (uint64, error) {
	for _, w := range words {
		id, ok := parseUUID(w)
		if !ok {
			return 0, vfs.Invalid.Withf("%.64q is not the id of a message", w)
		}
		m, err := s.one("box = ? AND seq = ? AND id = ?", s.grave, sqlSeq(id), id[:])
		if vfs.KindOf(err) == vfs.NotFound {
			return 0, vfs.NotFound.Withf("no dead message %s", w)
		}
		if err != nil {
			return 0, err
		}
		m.box, m.attempt = s.box, 0
		s.makeReady(&m)
		s.dead--
		s.totals.redriven++
		s.bytes += uint64(m.length)
		if err := s.put(m, s.grave); err != nil {
			return 0, err
		}
	}
	return uint64(len(words)), nil
}
