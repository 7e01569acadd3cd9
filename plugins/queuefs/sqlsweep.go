package queuefs

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/pfs-project/pfs/sqldb"
)

const (
	sqlSweepEvery = 5 * time.Second
	sqlSweepRows  = 1000
	sqlKeysKept   = 24 * time.Hour // answers to idempotency keys
)

// sweepOn removes for good what nobody can reach any more.
func (f *sqlFS) sweepOn(ctx context.Context) {
	for {
		if err := f.sweepOnce(ctx); err != nil && ctx.Err() == nil {
			f.log.Warn("queues are not swept", "error", err)
		}
		select {
		case <-time.After(sqlSweepEvery):
		case <-ctx.Done():
			return
		}
	}
}

func (f *sqlFS) sweepOnce(ctx context.Context) error {
	for _, old := range []struct {
		table string
		age   time.Duration
	}{{"queuefs_keys", sqlKeysKept}, {"queuefs_seen", dedupMost}} {
		if err := f.db.Update(ctx, func(q sqldb.Queryer) error {
			_, err := q.ExecContext(ctx, "DELETE FROM "+old.table+" WHERE at < "+f.clock()+" - ?", old.age.Microseconds())
			return err
		}); err != nil {
			return err
		}
	}
	for more := true; more; {
		if err := f.db.Update(ctx, func(q sqldb.Queryer) (err error) {
			more, err = f.empty(ctx, q)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// empty removes some of what has a number in the trash that no other server is
// at, and reports whether there may be more.
func (f *sqlFS) empty(ctx context.Context, q sqldb.Queryer) (more bool, err error) {
	var box int64
	err = q.QueryRowContext(ctx, "SELECT box FROM queuefs_trash LIMIT 1"+f.skip).Scan(&box)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	var last sql.NullInt64
	if err == nil {
		err = q.QueryRowContext(ctx, "SELECT MAX(seq) FROM (SELECT seq FROM queuefs_messages WHERE box = ? ORDER BY seq LIMIT ?) some", box, sqlSweepRows).Scan(&last)
	}
	if err == nil && last.Valid {
		_, err = q.ExecContext(ctx, "DELETE FROM queuefs_messages WHERE box = ? AND seq <= ?", box, last.Int64)
		return true, err
	}
	for _, query := range []string{"DELETE FROM queuefs_seen WHERE queue = ?", "DELETE FROM queuefs_trash WHERE box = ?"} {
		if err == nil {
			_, err = q.ExecContext(ctx, query, box)
		}
	}
	return true, err
}
