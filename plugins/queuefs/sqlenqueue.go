package queuefs

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// sqlMessageMost is the length in bytes that a message of a SQL backend must
// stay below: it is a parameter of a statement and a value in a row, for which
// servers have limits, and it is held in memory.
const sqlMessageMost = 4 << 20

// enqueue adds the content of op as one message, or each of its lines. A queue
// that is missing is made.
func (f *sqlFS) enqueue(ctx context.Context, q sqldb.Queryer, p vfs.Path, op vfs.Op) (vfs.Result, error) {
	if len(op.Data) >= sqlMessageMost {
		return vfs.Result{}, vfs.TooLarge.Withf("a message of backend %s must be shorter than %d bytes", f.backend, sqlMessageMost)
	}
	queue, err := f.makeQueues(ctx, q, p)
	if err != nil {
		return vfs.Result{}, err
	}
	set, err := queue.options()
	if err != nil {
		return vfs.Result{}, err
	}
	s := &sending{settings: set}
	s.post = func(m message, dedup string) (sent, error) { return queue.add(s, m, dedup) }
	o := vfs.ParseOptions(op.Target)
	if err := s.read(o); err != nil {
		return vfs.Result{}, err
	}
	res := vfs.Result{N: op.Size()}
	if _, batch := o["batch"]; batch {
		res.Data, err = s.batch(op, o["line"])
	} else {
		res.Data, err = s.single(op)
	}
	if err != nil {
		return vfs.Result{}, err
	}
	if s.added {
		queue.stamps[0] = queue.now
	}
	res.Version = uint64(queue.stamps[0])
	return res, queue.save()
}

// add adds one message, unless it is known.
func (s *sqlQueue) add(to *sending, m message, dedup string) (sent, error) {
	if dedup = s.window(to.settings, dedup); dedup != "" {
		was, err := s.known(dedup, to.settings.dedup)
		if err != nil {
			return sent{}, err
		}
		if was.id != "" {
			s.totals.duplicates++
			return was, nil
		}
	}
	if err := s.room(to.settings, m); err != nil {
		return sent{}, err
	}
	row := sqlMessage{message: m, box: s.box, seq: s.next, length: int64(len(m.data))}
	s.next++
	row.priority, row.id = to.priority, sqlID(s.now, row.seq)
	s.bytes += m.size()
	if to.delay > 0 {
		s.delay(&row, to.delay)
	} else {
		s.makeReady(&row)
	}
	if m.data == nil {
		m.data = []byte{}
	}
	err := s.exec("INSERT INTO queuefs_messages ("+sqlMessageColumns+", data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		row.id[:], row.box, row.seq, row.state, row.place, row.due, s.now, row.priority, row.attempt, row.at, row.length, row.reason, m.data)
	if err == nil && dedup != "" {
		err = s.remember(dedup, row)
	}
	to.added = true
	return sent{uuidText(row.id), row.seq, false}, err
}

// window returns the dedup id, "" where none counts.
func (s *sqlQueue) window(set settings, dedup string) string {
	if set.dedup == 0 {
		return ""
	}
	return dedup
}

// known finds the message that came under a dedup id within the window.
func (s *sqlQueue) known(dedup string, window time.Duration) (sent, error) {
	var id []byte
	var was sent
	err := s.q.QueryRowContext(s.ctx, "SELECT id, seq FROM queuefs_seen WHERE queue = ? AND dedup = ? AND at > ?",
		s.id, dedup, s.now-window.Microseconds()).Scan(&id, &was.seq)
	if errors.Is(err, sql.ErrNoRows) || err != nil || len(id) != 16 {
		return sent{}, orNil(!errors.Is(err, sql.ErrNoRows), err)
	}
	was.id, was.duplicate = uuidText([16]byte(id)), true
	return was, nil
}

// remember keeps a dedup id; the sweep forgets it.
func (s *sqlQueue) remember(dedup string, m sqlMessage) error {
	return s.exec("REPLACE INTO queuefs_seen (queue, dedup, id, at, seq) VALUES (?, ?, ?, ?, ?)", s.id, dedup, m.id[:], s.now, m.seq)
}
