package queuefs

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// sqlMessage is the row of a message; data is not always read.
type sqlMessage struct {
	message
	box, seq, attempt uint64
	state             int
	place, due, at    int64
	length            int64
	reason            sql.NullString
}

const sqlMessageColumns = "id, box, seq, state, place, due, enqueued, priority, attempt, at, size, reason"

// messages returns rows, without their data.
func (s *sqlQueue) messages(where string, args ...any) (out []sqlMessage, err error) {
	rows, err := s.q.QueryContext(s.ctx, "SELECT "+sqlMessageColumns+" FROM queuefs_messages WHERE "+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var m sqlMessage
		var id []byte
		if err := rows.Scan(&id, &m.box, &m.seq, &m.state, &m.place, &m.due, &m.ns, &m.priority, &m.attempt, &m.at, &m.length, &m.reason); err != nil {
			return nil, err
		}
		if len(id) != len(m.id) || m.priority > topmost {
			return nil, vfs.Unavailable.With("the table queuefs_messages is damaged")
		}
		m.id, m.ns = [16]byte(id), m.ns*1000
		out = append(out, m)
	}
	return out, rows.Err()
}

// one returns the only row, or NotFound.
func (s *sqlQueue) one(where string, args ...any) (sqlMessage, error) {
	out, err := s.messages(where, args...)
	if err != nil || len(out) == 0 {
		return sqlMessage{}, errors.Join(err, orNil(len(out) == 0 && err == nil, vfs.NotFound))
	}
	return out[0], nil
}

func orNil(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

// load reads the content of a message.
func (s *sqlQueue) load(m *sqlMessage) error {
	err := s.q.QueryRowContext(s.ctx, "SELECT data FROM queuefs_messages WHERE box = ? AND seq = ?", m.box, m.seq).Scan(&m.data)
	if errors.Is(err, sql.ErrNoRows) {
		return vfs.NotFound
	}
	return err
}

// put writes what may change of a message that is in the box named.
func (s *sqlQueue) put(m sqlMessage, box uint64) error {
	return s.exec("UPDATE queuefs_messages SET box = ?, state = ?, place = ?, due = ?, attempt = ?, at = ?, reason = ? WHERE box = ? AND seq = ?",
		m.box, m.state, m.place, m.due, m.attempt, m.at, m.reason, box, m.seq)
}

func (s *sqlQueue) drop(m sqlMessage) error {
	return s.exec("DELETE FROM queuefs_messages WHERE box = ? AND seq = ?", m.box, m.seq)
}

// makeReady gives a message its place among those that are ready.
func (s *sqlQueue) makeReady(m *sqlMessage) {
	m.state, m.place, m.due, m.at = sqlReady, int64(rank(m.priority, m.seq)), 0, s.now
	m.reason = sql.NullString{}
	s.ready++
}

// later makes a message ready after a while.
func (s *sqlQueue) delay(m *sqlMessage, d time.Duration) {
	m.state, m.place, m.due, m.at = sqlDelayed, int64(m.seq), s.now+d.Microseconds(), s.now
	s.delayed++
}

// back gives a message back whose lease has ended, or lets it die.
func (s *sqlQueue) back(m *sqlMessage, set settings, d time.Duration, reason, otherwise string) (died bool) {
	s.lent--
	switch {
	case m.attempt >= set.attempts:
		if reason == "" {
			reason = otherwise
		}
		m.box, m.state, m.place, m.due, m.at = s.grave, sqlDead, int64(m.seq), 0, s.now
		m.reason = sql.NullString{String: lastWords(m.attempt, set.attempts, reason), Valid: true}
		s.bytes -= uint64(m.length)
		s.dead++
		s.totals.died++
		return true
	case d > 0:
		s.delay(m, d)
	default:
		s.makeReady(m)
	}
	return false
}

// settleDue ends leases and delays whose time is over, some at once, and
// reports whether there may be more. Those that others are at are left to them.
func (s *sqlQueue) settleDue() (more bool, err error) {
	list, err := s.messages("box = ? AND due > 0 AND due <= ? ORDER BY due LIMIT ?"+s.f.skip, s.box, s.now, reapTasks)
	if err != nil || len(list) == 0 {
		return false, err
	}
	if err := s.hold(); err != nil {
		return false, err
	}
	set, err := s.options()
	if err != nil {
		return false, err
	}
	for _, m := range list {
		if m.state == sqlDelayed {
			s.delayed--
			s.makeReady(&m)
		} else {
			s.totals.expired++
			s.back(&m, set, 0, "", "the lease ran out")
		}
		if err := s.put(m, s.box); err != nil {
			return false, err
		}
	}
	return len(list) == reapTasks, s.save()
}

// sqlID makes the id of a message: the time, its seq, and chance.
func sqlID(us int64, seq uint64) [16]byte {
	return newUUID(time.UnixMicro(us), seq<<24|uint64(rand.Uint32())>>8, uint64(rand.Uint32()))
}

// sqlSeq returns the seq in an id that sqlID made.
func sqlSeq(id [16]byte) uint64 {
	high, low := binary.BigEndian.Uint64(id[:]), binary.BigEndian.Uint64(id[8:])
	return (high&0xfff<<52 | low>>10&(1<<52-1)) >> 24
}
