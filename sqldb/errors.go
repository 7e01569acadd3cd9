package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"

	"github.com/go-sql-driver/mysql"
	"modernc.org/sqlite"

	"github.com/pfs-project/pfs/vfs"
)

// Numbers of errors of a MySQL server.
const (
	accessDenied    = 1045
	deniedDatabase  = 1044
	unknownDatabase = 1049
	tooManyConns    = 1040
	lockWait        = 1205
	deadlocked      = 1213
	duplicate       = 1062
	tableFull       = 1114
	diskFull        = 1021
)

// Primary result codes of SQLite.
const (
	sqlitePerm      = 3
	sqliteBusy      = 5
	sqliteLocked    = 6
	sqliteReadonly  = 8
	sqliteInterrupt = 9
	sqliteIO        = 10
	sqliteCorrupt   = 11
	sqliteFull      = 13
	sqliteCantOpen  = 14
	sqliteNotADB    = 26
)

// again reports whether a transaction failed for another one, and might not the
// next time.
func again(err error) bool {
	var no *mysql.MySQLError
	return errors.As(err, &no) && (no.Number == deadlocked || no.Number == duplicate)
}

// Committed gives the error of a COMMIT its kind. Where the database did not say
// that it has not committed, it is a [*vfs.Unknown]: it may have.
func Committed(err error) error {
	var no *mysql.MySQLError
	var lite *sqlite.Error
	switch {
	case err == nil, errors.As(err, &no), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone):
		return err // refused, or never sent
	case errors.As(err, &lite) && lite.Code()&0xff != sqliteIO && lite.Code()&0xff != sqliteInterrupt:
		return err
	}
	return &vfs.Unknown{Cause: Kind(err)}
}

// Known is an error of a step that changes nothing of what clients see: where its
// outcome is unknown, theirs is not.
func Known(err error) error {
	if u := (*vfs.Unknown)(nil); errors.As(err, &u) {
		return u.Cause
	}
	return err
}

// Kind gives an error of a database the kind that clients see. Errors that have
// one stay as they are. What a client's own SQL did wrong is Invalid.
func Kind(err error) error {
	var kind vfs.Kind
	var no *mysql.MySQLError
	var lite *sqlite.Error
	var op *net.OpError
	switch {
	case err == nil, errors.As(err, &kind):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &no):
		return kindOfServer(no)
	case errors.As(err, &lite):
		return kindOfFile(lite)
	case errors.Is(err, sql.ErrConnDone), errors.Is(err, sql.ErrTxDone):
		return vfs.Unavailable.With("the connection to the database has ended; try again")
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.As(err, &op):
		return vfs.Unavailable.With("the database server does not answer")
	}
	return err
}

func kindOfServer(e *mysql.MySQLError) error {
	switch e.Number {
	case accessDenied, deniedDatabase:
		return vfs.Permission.With("the database server refuses the user or the password")
	case unknownDatabase:
		return vfs.NotFound.With("the database does not exist")
	case tooManyConns, lockWait, deadlocked:
		return vfs.Unavailable.Withf("the database is busy; try again (%s)", e.Message)
	case tableFull, diskFull:
		return vfs.NoSpace.With("the database is full")
	}
	return vfs.Invalid.With(e.Message)
}

func kindOfFile(e *sqlite.Error) error {
	switch e.Code() & 0xff {
	case sqliteBusy, sqliteLocked:
		return vfs.Unavailable.With("the database is in use by another writer; try again")
	case sqliteFull:
		return vfs.NoSpace.With("no space left for the database")
	case sqlitePerm, sqliteReadonly:
		return vfs.Permission.With("the database cannot be written")
	case sqliteCorrupt, sqliteNotADB:
		return vfs.Unavailable.With("the database file is damaged, or is no SQLite database")
	case sqliteIO, sqliteCantOpen:
		return vfs.Unavailable.Withf("the disk under the database fails (%s)", e.Error())
	}
	return vfs.Invalid.With(e.Error())
}
