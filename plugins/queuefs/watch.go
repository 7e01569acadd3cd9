package queuefs

import (
	"context"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// state describes a queue to those who watch it.
func (t *tally) state(p vfs.Path) vfs.QueueState {
	return vfs.QueueState{Path: p, Ready: t.ready, Delayed: t.delayed, Inflight: t.lent, Dead: t.dead}
}

// Queues describes the queues of the mount.
func (FS) Queues(ctx context.Context, v vfs.View, most, closely int) ([]vfs.QueueState, error) {
	out := []vfs.QueueState{}
	for k := range v.Scan([]byte{rowTally}, nil) { // ids rise
		if len(out) == most {
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		id := idOf(k)
		p, ok := pathOf(v, id)
		if !ok {
			continue // removed, and not reaped yet
		}
		t := getTally(v, id)
		s := t.state(p)
		if len(out) < closely {
			if seq, ok := t.oldest(v); ok {
				s.Oldest = timeOf(getMessage(v, t.box, seq).ns)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// Queues describes the queues of the database.
func (f *sqlFS) Queues(ctx context.Context, _ vfs.View, most, closely int) ([]vfs.QueueState, error) {
	all, err := f.watched(ctx, most)
	out := make([]vfs.QueueState, 0, len(all))
	for i, s := range all {
		state := s.state(s.path)
		if i < closely && s.ready > 0 {
			m, err := s.oldest()
			if err != nil {
				return nil, sqldb.Kind(err)
			}
			if m != nil {
				state.Oldest = timeOf(m.ns)
			}
		}
		out = append(out, state)
	}
	return out, sqldb.Kind(err)
}

// watched returns the counts of queues, and where their messages are.
func (f *sqlFS) watched(ctx context.Context, most int) (out []*sqlQueue, err error) {
	rows, err := f.db.Reader().QueryContext(ctx, `SELECT path, box, n_ready, n_delayed, n_inflight, n_dead
		FROM queuefs_queues WHERE id <> ? ORDER BY made, path LIMIT ?`, rootID, most)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		s, path := &sqlQueue{f: f, q: f.db.Reader(), ctx: ctx}, ""
		if err := rows.Scan(&path, &s.box, &s.ready, &s.delayed, &s.lent, &s.dead); err != nil {
			return nil, err
		}
		s.path = vfs.Path(path)
		out = append(out, s)
	}
	return out, rows.Err()
}
