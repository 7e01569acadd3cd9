package sqlfs2

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// session is one connection, and the transaction in it.
type session struct {
	id   int64
	at   node // where it was opened
	conn *sql.Conn

	turn   chan struct{} // holds one token: who has it uses the session
	used   atomic.Int64  // Unix nanoseconds
	ended  string        // why it has ended
	broken string        // why its transaction is gone
	open   bool          // a transaction
	result result
	err    string
}

func (s *session) unused() time.Duration { return time.Since(time.Unix(0, s.used.Load())) }

func (f *FS) all() []*session {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]*session, 0, len(f.sessions))
	for _, s := range f.sessions {
		out = append(out, s)
	}
	return out
}

// begin opens a session at a level of the tree.
func (f *FS) begin(ctx context.Context, at node) (*session, error) {
	s := &session{at: node{db: at.db, table: at.table}, turn: make(chan struct{}, 1)}
	s.used.Store(time.Now().UnixNano())
	f.mu.Lock()
	if len(f.sessions) >= mostSessions {
		f.mu.Unlock()
		return nil, vfs.Throttled.Withf("%d sessions are open; close one: write close to its ctl", mostSessions)
	}
	f.last++
	s.id = f.last
	f.sessions[s.id] = s
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, f.limit)
	defer cancel()
	err := f.connect(ctx, s)
	if err != nil {
		f.forget(s)
		return nil, sqldb.Kind(err)
	}
	s.turn <- struct{}{}
	return s, nil
}

// connect gives the session its connection, which nobody else has had.
func (f *FS) connect(ctx context.Context, s *session) (err error) {
	if s.conn, err = f.db.Conn(ctx); err != nil {
		return err
	}
	err = f.settings.Dialect.Confine(s.conn)
	if err == nil && f.settings.Dialect == sqldb.MySQL {
		_, err = s.conn.ExecContext(ctx, "SET autocommit = 0") // a DDL ends a transaction, and the next begins
		if err == nil && s.at.db != "" {
			_, err = s.conn.ExecContext(ctx, "USE "+sqldb.MySQL.Quote(s.at.db))
		}
	}
	if err != nil {
		drop(s.conn)
	}
	return err
}

// drop closes a connection for good, and with it what was not committed.
func drop(c *sql.Conn) {
	_ = c.Raw(func(any) error { return driver.ErrBadConn }) // how it is told to the pool
	_ = c.Close()                                           // says that it is closed
}

func (f *FS) forget(s *session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.sessions, s.id)
}

// end rolls a session back and lets it go.
func (f *FS) end(s *session, why string) {
	f.forget(s)
	<-s.turn // a statement has its own limit
	if s.ended == "" {
		s.ended = why
		drop(s.conn)
	}
	s.turn <- struct{}{}
}

// find returns the open session of a place in the tree.
func (f *FS) find(at node) (*session, error) {
	f.mu.Lock()
	s := f.sessions[at.session]
	f.mu.Unlock()
	if s == nil || s.at.db != at.db || s.at.table != at.table {
		return nil, vfs.NotFound.With("no such session: it was closed, or it was not used for session_timeout and rolled back")
	}
	return s, nil
}

// use runs do in a session, alone.
func (f *FS) use(ctx context.Context, at node, do func(s *session) error) error {
	s, err := f.find(at)
	if err != nil {
		return err
	}
	select {
	case <-s.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.turn <- struct{}{} }()
	if s.ended != "" {
		return vfs.NotFound.Withf("the session was rolled back and has ended (%s)", s.ended)
	}
	s.used.Store(math.MaxInt64) // what takes long is no idle time
	defer func() { s.used.Store(time.Now().UnixNano()) }()
	return do(s)
}

// control carries out what is written to a session's ctl.
func (f *FS) control(ctx context.Context, s *session, command string) error {
	switch command {
	case "commit":
		return f.commit(ctx, s)
	case "rollback":
		return f.rollback(ctx, s)
	case "close":
		if s.broken == "" {
			if err := f.commit(ctx, s); err != nil {
				return err
			}
		}
		broken := s.broken
		s.ended = "closed"
		drop(s.conn)
		f.forget(s)
		if broken != "" {
			return vfs.Conflict.Withf("the session is closed, and was not committed: %s", broken)
		}
		return nil
	}
	return vfs.Invalid.Withf("%.40q is no command; write commit, rollback or close", command)
}

func (f *FS) commit(ctx context.Context, s *session) error {
	if s.broken != "" {
		return vfs.Conflict.Withf("the transaction is gone (%s); write rollback to ctl to begin another", s.broken)
	}
	if !s.open {
		return nil
	}
	if _, err := s.conn.ExecContext(ctx, "COMMIT"); err != nil {
		err = sqldb.Kind(sqldb.Committed(err))
		s.broken = "its commit failed: " + err.Error()
		return err
	}
	s.open = false
	return nil
}

func (f *FS) rollback(ctx context.Context, s *session) error {
	if s.open || s.broken != "" {
		// SQLite may have done it by itself.
		if _, err := s.conn.ExecContext(ctx, "ROLLBACK"); err != nil && f.settings.Dialect != sqldb.SQLite {
			return sqldb.Kind(err)
		}
	}
	s.open, s.broken = false, ""
	return nil
}

// ready begins the transaction.
func (f *FS) ready(ctx context.Context, s *session) error {
	if s.broken != "" {
		return vfs.Conflict.Withf("the transaction is gone (%s); write rollback to ctl to begin another", s.broken)
	}
	if s.open {
		return nil
	}
	if f.settings.Dialect == sqldb.SQLite {
		if _, err := s.conn.ExecContext(ctx, "BEGIN"); err != nil {
			return sqldb.Kind(err)
		}
	}
	s.open = true
	return nil
}

// failed notes an error. One that is not the statement's own may have taken the
// transaction with it.
func (s *session) failed(err error, what string) error {
	err = sqldb.Kind(err)
	if errors.Is(err, context.DeadlineExceeded) {
		err = vfs.Timeout.With("query_timeout")
	}
	kind := vfs.KindOf(err)
	if kind != vfs.Invalid && kind != vfs.TooLarge && kind != vfs.Conflict {
		s.broken = err.Error()
	}
	s.err = what + ": " + err.Error()
	if kind == vfs.Internal {
		kind = vfs.Unavailable
	}
	return kind.With(s.err)
}
