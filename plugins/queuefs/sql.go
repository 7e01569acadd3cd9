package queuefs

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// sqlFS keeps queues in tables of a database. Each queue is one row with its
// tally; whoever changes the queue holds that row to the end of a transaction,
// and takes the rows of messages before it, passing over those that others hold.
// The clock is the database's.
type sqlFS struct {
	backend  string
	settings sqldb.Settings
	log      *slog.Logger
	db       *sqldb.DB // nil until Start
	skip     string    // the words that take a row unless it is held
	started  time.Time
	waits    sqlWaits

	stop  context.CancelFunc
	sweep sync.WaitGroup
}

var (
	_ vfs.Device   = (*sqlFS)(nil)
	_ vfs.Putter   = (*sqlFS)(nil)
	_ vfs.Keyer    = (*sqlFS)(nil)
	_ vfs.Optioned = (*sqlFS)(nil)
	_ vfs.Starter  = (*sqlFS)(nil)
	_ io.Closer    = (*sqlFS)(nil)
)

func newSQL(e vfs.Env, c vfs.Config, backend string) (vfs.FileSystem, error) {
	s, err := sqldb.Parse(e, c, defaultFile, defaultDatabase)
	if err != nil {
		return nil, err
	}
	return &sqlFS{backend: backend, settings: s, log: e.Log, waits: sqlWaits{lines: map[vfs.Path]*sqlLine{}}}, nil
}

// Start opens the database and makes its tables.
func (f *sqlFS) Start(ctx context.Context) error {
	db, err := f.settings.Open(ctx)
	if err != nil {
		return err
	}
	f.db, f.started = db, time.Now().UTC()
	if err := f.prepare(ctx); err != nil {
		return err
	}
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.sweep.Go(func() { f.sweepOn(ctx) })
	return nil
}

// Close lets the database go.
func (f *sqlFS) Close() error {
	if f.stop != nil {
		f.stop()
		f.sweep.Wait()
	}
	if f.db == nil {
		return nil
	}
	return f.db.Close()
}

// KeepsKeys reports that the answers to keys are kept in the database.
func (f *sqlFS) KeepsKeys() bool { return true }

// Options returns what a client may ask of an enqueue or a take beside it.
func (f *sqlFS) Options(_ vfs.View, verb vfs.Verb, p vfs.Path) ([]string, error) {
	return optionsAt(locate(p), verb), nil
}

// States of a message.
const (
	sqlReady = 1 + iota
	sqlDelayed
	sqlLent
	sqlDead
)

// sqlTables are the tables, made if they are missing. A stamp is the clock of
// the database in microseconds. place is the rank of a ready message, the fence
// of one that is lent, and else its seq; due is when a delay or a lease ends.
func sqlTables(d sqldb.Dialect) []string {
	number, path, text, word, id, blob, engine := "BIGINT NOT NULL DEFAULT 0", "VARBINARY(3000)", "VARBINARY(1200)", "VARBINARY(190)",
		"BINARY(16)", "LONGBLOB", " ENGINE=InnoDB ROW_FORMAT=DYNAMIC"
	if d == sqldb.SQLite {
		number, path, text, word, id, blob, engine = "INTEGER NOT NULL DEFAULT 0", "TEXT", "TEXT", "TEXT", "BLOB", "BLOB", ""
	}
	numbers := func(names ...string) (out string) {
		for _, n := range names {
			out += ", " + n + " " + number
		}
		return out
	}
	queues := "CREATE TABLE IF NOT EXISTS queuefs_queues (path " + path + " NOT NULL PRIMARY KEY" +
		numbers("id", "parent") + ", ctl " + text + numbers(sqlFigures()...)
	messages := "CREATE TABLE IF NOT EXISTS queuefs_messages (id " + id + " NOT NULL" +
		numbers("box", "seq", "state", "place", "due", "enqueued", "priority", "attempt", "at", "size") +
		", reason " + text + ", data " + blob + ", PRIMARY KEY (box, seq)"
	seen := "CREATE TABLE IF NOT EXISTS queuefs_seen (dedup " + word + " NOT NULL, id " + id + " NOT NULL" +
		numbers("queue", "at", "seq") + ", PRIMARY KEY (queue, dedup)"
	keys := "CREATE TABLE IF NOT EXISTS queuefs_keys (name " + word + " NOT NULL PRIMARY KEY, sum " + word + " NOT NULL, answer " + blob + numbers("at")
	trash := "CREATE TABLE IF NOT EXISTS queuefs_trash (box BIGINT NOT NULL PRIMARY KEY)" + engine
	indexes := [][3]string{{"queuefs_queues", "below", "parent, path"}, {"queuefs_messages", "placed", "box, state, place"},
		{"queuefs_messages", "due", "box, due"}, {"queuefs_seen", "aged", "at"}, {"queuefs_keys", "aged", "at"}}
	tables := map[string]*string{"queuefs_queues": &queues, "queuefs_messages": &messages, "queuefs_seen": &seen, "queuefs_keys": &keys}
	var after []string
	for _, i := range indexes {
		if d == sqldb.SQLite {
			after = append(after, "CREATE INDEX IF NOT EXISTS "+i[0]+"_"+i[1]+" ON "+i[0]+" ("+i[2]+")")
		} else {
			*tables[i[0]] += ", KEY " + i[1] + " (" + i[2] + ")"
		}
	}
	out := []string{trash}
	for _, t := range []string{queues, messages, seen, keys} {
		out = append(out, t+")"+engine)
	}
	return append(out, after...)
}

// prepare makes the tables and the root, and finds out what the server can do.
func (f *sqlFS) prepare(ctx context.Context) error {
	insert := "INSERT OR IGNORE"
	if f.db.Dialect == sqldb.MySQL {
		insert = "INSERT IGNORE"
	}
	if err := f.db.Update(ctx, func(q sqldb.Queryer) error {
		for _, t := range sqlTables(f.db.Dialect) {
			if _, err := q.ExecContext(ctx, t); err != nil {
				return err
			}
		}
		_, err := q.ExecContext(ctx, insert+" INTO queuefs_queues (path, id, made, listed, changed) VALUES ('/', ?, "+
			f.clock()+", "+f.clock()+", "+f.clock()+")", rootID)
		return err
	}); err != nil {
		return err
	}
	if f.db.Dialect == sqldb.SQLite {
		return nil // one writer at a time
	}
	f.skip = " FOR UPDATE SKIP LOCKED"
	return f.db.Update(ctx, func(q sqldb.Queryer) error {
		rows, err := q.QueryContext(ctx, "SELECT box FROM queuefs_trash WHERE box = 0"+f.skip)
		if err != nil { // an old server, or TiDB
			f.skip = " FOR UPDATE"
			return nil
		}
		return rows.Close()
	})
}

// lock are the words that hold a row to the end of the transaction.
func (f *sqlFS) lock() string {
	if f.db.Dialect == sqldb.SQLite {
		return ""
	}
	return " FOR UPDATE"
}

// clock is the time of the database in microseconds, as SQL.
func (f *sqlFS) clock() string {
	if f.db.Dialect == sqldb.SQLite {
		return "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
	}
	return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
}
