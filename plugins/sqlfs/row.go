package sqlfs

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// row is a file or a directory, without its content.
type row struct {
	path    string
	dir     bool
	mode    vfs.Mode
	size    int64
	mtime   time.Time
	id      int64
	version int64
	content int64 // its number in file_contents; 0: it is in the row
}

const columns = "path, is_dir, mode, size, mod_time, mod_nanos, id, version, content"

// maxPath is what fits into a key of a MySQL server, beside the parent.
const maxPath = 3000

// newID returns a number that no other has: it begins with the time, so that
// what is written at one time lies together.
func newID() int64 { return time.Now().UnixMilli()<<20&math.MaxInt64 | rand.Int64N(1<<20) }

// scan reads the columns of a row, and behind them what to points at.
func scan(from interface{ Scan(...any) error }, to ...any) (r row, err error) {
	var mode, sec, nanos int64
	err = from.Scan(append([]any{&r.path, &r.dir, &mode, &r.size, &sec, &nanos, &r.id, &r.version, &r.content}, to...)...)
	r.mode, r.mtime = vfs.Mode(mode)&vfs.ModePerm, time.Unix(sec, nanos).UTC()
	return r, err
}

// The ways to hold a row until the transaction ends.
const (
	forUpdate = "FOR UPDATE"
	forShare  = "LOCK IN SHARE MODE"
)

// locked adds a lock to a query. A SQLite transaction has the only one there is.
func (f *FS) locked(query, lock string) string {
	if lock == "" || f.db.Dialect == sqldb.SQLite {
		return query
	}
	return query + " " + lock
}

// find returns the row at p.
func (f *FS) find(ctx context.Context, q sqldb.Queryer, p vfs.Path, lock string) (row, error) {
	if len(p) > maxPath {
		return row{}, vfs.Invalid.Withf("path is longer than %d bytes", maxPath)
	}
	r, err := scan(q.QueryRowContext(ctx, f.locked("SELECT "+columns+" FROM files WHERE path = ?", lock), string(p)))
	if !errors.Is(err, sql.ErrNoRows) {
		return r, sqldb.Kind(err)
	}
	if p.IsRoot() {
		return row{}, vfs.Unavailable.With("the table files has lost the row of the root")
	}
	// Why is it not there?
	for at := p.Dir(); ; at = at.Dir() {
		var dir bool
		err := q.QueryRowContext(ctx, "SELECT is_dir FROM files WHERE path = ?", string(at)).Scan(&dir)
		switch {
		case errors.Is(err, sql.ErrNoRows) && !at.IsRoot():
			continue
		case err == nil && !dir:
			return row{}, vfs.NotDirectory
		case err != nil && !errors.Is(err, sql.ErrNoRows):
			return row{}, sqldb.Kind(err)
		}
		return row{}, vfs.NotFound
	}
}

// directory is find for what must be a directory.
func (f *FS) directory(ctx context.Context, q sqldb.Queryer, p vfs.Path, lock string) (row, error) {
	r, err := f.find(ctx, q, p, lock)
	if err == nil && !r.dir {
		err = vfs.NotDirectory
	}
	return r, err
}

// now is the time of the database in seconds: the clocks of nodes differ.
func (f *FS) now() string {
	if f.db.Dialect == sqldb.SQLite {
		return "unixepoch()"
	}
	return "UNIX_TIMESTAMP()"
}
