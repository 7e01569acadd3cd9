package sqlfs

import (
	"context"
	"database/sql"
	"time"

	"github.com/pfs-project/pfs/sqldb"
)

const (
	sweepEvery  = 20 * time.Second
	sweepBlocks = 64 // in one transaction
)

// sweep removes contents whose time is over, until ctx ends.
func (f *FS) sweep(ctx context.Context) {
	defer close(f.sweeping)
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		if err := f.sweepOnce(ctx); err != nil && ctx.Err() == nil {
			f.log.Warn("removed files are not swept", "type", pluginType, "error", err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweepOnce removes all contents whose time is over.
func (f *FS) sweepOnce(ctx context.Context) error {
	for {
		ids, err := f.expired(ctx)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := f.clear(ctx, id); err != nil {
				return err
			}
		}
	}
}

func (f *FS) expired(ctx context.Context) (ids []int64, err error) {
	rows, err := f.db.Reader().QueryContext(ctx, "SELECT id FROM file_contents WHERE expires < "+f.now()+" LIMIT 100")
	if err != nil {
		return nil, sqldb.Kind(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, sqldb.Kind(err)
		}
		ids = append(ids, id)
	}
	return ids, sqldb.Kind(rows.Err())
}

// clear removes one content whose time is over. It is marked first, so that no
// reader takes a block that is gone for a hole.
func (f *FS) clear(ctx context.Context, id int64) error {
	over := false
	if err := f.db.Update(ctx, func(q sqldb.Queryer) error {
		r, err := q.ExecContext(ctx, "UPDATE file_contents SET expires = 1 WHERE id = ? AND expires < "+f.now(), id)
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		over = n == 1
		return err
	}); err != nil || !over {
		return err
	}
	for more := true; more; {
		if err := f.db.Update(ctx, func(q sqldb.Queryer) error {
			var least sql.NullInt64
			if err := q.QueryRowContext(ctx, "SELECT MIN(n) FROM file_blocks WHERE content = ?", id).Scan(&least); err != nil {
				return err
			}
			if more = least.Valid; !more {
				_, err := q.ExecContext(ctx, "DELETE FROM file_contents WHERE id = ?", id)
				return err
			}
			_, err := q.ExecContext(ctx, "DELETE FROM file_blocks WHERE content = ? AND n < ?", id, least.Int64+sweepBlocks)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
