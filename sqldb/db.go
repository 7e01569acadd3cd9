package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"modernc.org/sqlite" // the driver "sqlite" too

	"github.com/pfs-project/pfs/vfs"
)

// DB is an open database.
type DB struct {
	Dialect
	read, write *sql.DB
}

// Queryer is a database or a transaction of one.
type Queryer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

const (
	mostConns = 16
	idleTime  = time.Minute
	tries     = 8 // of a transaction that another one has made impossible
)

// Open opens the database and makes sure that it answers.
func (s Settings) Open(ctx context.Context) (*DB, error) {
	if s.Dialect == SQLite {
		return s.openFile(ctx)
	}
	return s.openServer(ctx)
}

// openFile opens a file for one writer and several readers.
func (s Settings) openFile(ctx context.Context) (*DB, error) {
	if err := s.touch(); err != nil {
		return nil, err
	}
	write, err := sql.Open("sqlite", s.dsn("synchronous(FULL)")+"&_txlock=immediate")
	if err != nil {
		return nil, Kind(err)
	}
	write.SetMaxOpenConns(1)
	if err := write.PingContext(ctx); err != nil {
		return nil, errors.Join(Kind(err), write.Close())
	}
	read, err := sql.Open("sqlite", s.dsn("query_only(1)"))
	if err != nil {
		return nil, errors.Join(Kind(err), write.Close())
	}
	read.SetMaxOpenConns(mostConns)
	read.SetMaxIdleConns(4)
	read.SetConnMaxIdleTime(idleTime)
	return &DB{Dialect: SQLite, read: read, write: write}, nil
}

// touch makes the file, for its owner alone, if it is not there.
func (s Settings) touch() error {
	h, err := os.OpenFile(s.file, os.O_RDWR|os.O_CREATE, 0o600)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return vfs.Invalid.Withf("db_path: its directory does not exist on node %s: %s", s.node, filepath.Dir(s.file))
	case errors.Is(err, fs.ErrPermission):
		return vfs.Permission.Withf("db_path: cannot be written on node %s: %s", s.node, s.file)
	case err != nil:
		return vfs.Invalid.Withf("db_path: is no file that can be opened on node %s: %s", s.node, s.file)
	}
	st, err := h.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = vfs.Invalid.Withf("db_path: is not a regular file: %s", s.file)
	}
	return errors.Join(err, h.Close())
}

// dsn names the file and what each connection sets first.
func (s Settings) dsn(pragma string) string {
	path := filepath.ToSlash(s.file)
	if runtime.GOOS == "windows" && !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{"_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "trusted_schema(0)", "journal_size_limit(67108864)", pragma}}.Encode()}
	return u.String()
}

// openServer opens a pool of connections; the database is made if it is missing.
func (s Settings) openServer(ctx context.Context) (*DB, error) {
	db, err := pool(s.server)
	if err != nil {
		return nil, err
	}
	err = db.PingContext(ctx)
	if no := (*mysql.MySQLError)(nil); errors.As(err, &no) && no.Number == unknownDatabase {
		err = s.makeDatabase(ctx)
	}
	if err != nil {
		return nil, errors.Join(Kind(err), db.Close())
	}
	return &DB{Dialect: MySQL, read: db, write: db}, nil
}

func pool(c *mysql.Config) (*sql.DB, error) {
	to, err := mysql.NewConnector(c)
	if err != nil {
		return nil, vfs.Invalid.With("the settings of the database server are invalid")
	}
	db := sql.OpenDB(to)
	db.SetMaxOpenConns(mostConns)
	db.SetMaxIdleConns(4)
	db.SetConnMaxIdleTime(idleTime)
	return db, nil
}

func (s Settings) makeDatabase(ctx context.Context) error {
	c := s.server.Clone()
	c.DBName = ""
	db, err := pool(c)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS "+MySQL.Quote(s.server.DBName))
	return errors.Join(err, db.Close())
}

// Quote returns a name as an identifier.
func (d Dialect) Quote(name string) string {
	if d == SQLite {
		return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

// Reader returns what reads outside of transactions.
func (d *DB) Reader() Queryer { return d.read }

// Update runs do in a transaction that commits if do returns nil. do may be run
// again, from the start. A [*vfs.Unknown] says that nobody knows whether it has
// committed; after any other error it has not.
func (d *DB) Update(ctx context.Context, do func(q Queryer) error) (err error) {
	for try := range tries {
		if err = d.once(ctx, do); !again(err) {
			break
		}
		select {
		case <-time.After(time.Duration(try*try) * 5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return Kind(err)
}

func (d *DB) once(ctx context.Context, do func(q Queryer) error) error {
	o := &sql.TxOptions{} // SQLite: one after the other
	if d.Dialect == MySQL {
		o.Isolation = sql.LevelReadCommitted // with locks where it matters
	}
	tx, err := d.write.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // err tells more
		return err
	}
	err = tx.Commit()
	if errors.Is(err, sql.ErrTxDone) || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err // no COMMIT was sent: this one has no context of its own
	}
	return Committed(err)
}

// Close lets the database go.
func (d *DB) Close() error {
	if d.read == d.write {
		return d.read.Close()
	}
	return errors.Join(d.read.Close(), d.write.Close())
}

// Sessions opens a pool of connections that are each used for whatever SQL a
// client gives. With SQLite it reaches no other file.
func (s Settings) Sessions(ctx context.Context) (*sql.DB, error) {
	if s.Dialect == MySQL {
		db, err := s.openServer(ctx)
		if err != nil {
			return nil, err
		}
		db.read.SetMaxOpenConns(0) // who uses it counts
		return db.read, nil
	}
	if err := s.touch(); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", s.dsn("synchronous(FULL)"))
	if err == nil {
		err = db.PingContext(ctx)
	}
	if err != nil {
		return nil, Kind(err)
	}
	return db, nil
}

// Confine keeps a connection from attaching other files, VACUUM INTO too.
func (d Dialect) Confine(c *sql.Conn) error {
	if d != SQLite {
		return nil
	}
	_, err := sqlite.Limit(c, limitAttached, 0)
	return err
}

// limitAttached is SQLITE_LIMIT_ATTACHED.
const limitAttached = 7
