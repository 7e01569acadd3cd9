package sqldb

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pfs-project/pfs/sqldb/sqldbtest"
	"github.com/pfs-project/pfs/vfs"
)

// open opens the database of the settings, with an empty table t.
func open(t *testing.T, c vfs.Config) *DB {
	t.Helper()
	s, err := Parse(vfs.Env{Node: "n1"}, c, "files.db", "pfs")
	if err != nil {
		t.Fatal(err)
	}
	db, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Update(t.Context(), func(q Queryer) error {
		_, err := q.ExecContext(t.Context(), "CREATE TABLE IF NOT EXISTS t (k VARCHAR(64) PRIMARY KEY, n INTEGER)")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return db
}

func file(t *testing.T) vfs.Config {
	return vfs.Config{"db_path": filepath.Join(t.TempDir(), "a ?b#%.db")}
}

// put makes a row in a transaction of its own.
func put(ctx context.Context, db *DB, k string) error {
	return db.Update(ctx, func(q Queryer) error {
		_, err := q.ExecContext(ctx, "INSERT INTO t (k, n) VALUES (?, 1)", k)
		return err
	})
}

// keys returns the rows, in order.
func keys(t *testing.T, db *DB) string {
	t.Helper()
	rows, err := db.Reader().QueryContext(t.Context(), "SELECT k FROM t ORDER BY k")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var k string
		if err := rows.Scan(&k); err != nil {
			t.Fatal(err)
		}
		out = append(out, k)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

// both runs a test on a file and on a server.
func both(t *testing.T, test func(t *testing.T, db *DB)) {
	t.Run("sqlite", func(t *testing.T) { test(t, open(t, file(t))) })
	t.Run("mariadb", func(t *testing.T) { test(t, open(t, sqldbtest.Start(t).Config("made on the way"))) })
}

// TestUpdate: what fails leaves nothing, and what is acknowledged is there.
func TestUpdate(t *testing.T) {
	both(t, func(t *testing.T, db *DB) {
		ctx := t.Context()
		mine := errors.New("mine")
		if err := db.Update(ctx, func(q Queryer) error {
			_, err := q.ExecContext(ctx, "INSERT INTO t (k) VALUES ('undone')")
			return errors.Join(mine, err)
		}); !errors.Is(err, mine) {
			t.Errorf("%v", err)
		}
		gone, cancel := context.WithCancel(ctx)
		err := db.Update(gone, func(q Queryer) error {
			_, err := q.ExecContext(ctx, "INSERT INTO t (k) VALUES ('left')")
			cancel()
			return err
		})
		if unknown := (*vfs.Unknown)(nil); err == nil || errors.As(err, &unknown) {
			t.Errorf("a client that left before the COMMIT: %v; it is known that there was none", err)
		}
		if err := put(ctx, db, "done"); err != nil {
			t.Error(err)
		}
		if err := put(ctx, db, "done"); vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("a row twice: %v", err)
		}
		_, err = db.Reader().ExecContext(ctx, "SELECT no FROM nothing")
		if vfs.KindOf(Kind(err)) != vfs.Invalid {
			t.Errorf("what a client got wrong is %v", Kind(err))
		}
		if got := keys(t, db); got != "done" {
			t.Errorf("rows: %s", got)
		}
		if q := db.Quote("a`b\"c"); strings.Count(q, "`")+strings.Count(q, `"`) != 5 {
			t.Errorf("quoted as %s", q)
		}
	})
}

// TestUpdateAtOnce has transactions lock two rows in opposite orders, and raise a
// number that each has read: all go through, one after the other.
func TestUpdateAtOnce(t *testing.T) {
	both(t, func(t *testing.T, db *DB) {
		ctx := t.Context()
		for _, k := range []string{"a", "b"} {
			if err := put(ctx, db, k); err != nil {
				t.Fatal(err)
			}
		}
		const clients, each = 4, 10
		var all sync.WaitGroup
		for i := range clients {
			first, second := "a", "b"
			if i%2 == 1 {
				first, second = second, first
			}
			all.Go(func() {
				for range each {
					for err := error(vfs.Unavailable); vfs.KindOf(err) == vfs.Unavailable; {
						if err = db.Update(ctx, func(q Queryer) error {
							_, err := q.ExecContext(ctx, "UPDATE t SET n = n + 1 WHERE k = ?", first)
							if err == nil {
								_, err = q.ExecContext(ctx, "UPDATE t SET n = n + 1 WHERE k = ?", second)
							}
							return err
						}); err != nil && vfs.KindOf(err) != vfs.Unavailable { // busy, after eight tries
							t.Error(err)
						}
					}
				}
			})
		}
		all.Wait()
		var a, b int
		if err := db.Reader().QueryRowContext(ctx, "SELECT MIN(n), MAX(n) FROM t").Scan(&a, &b); err != nil || a != 1+clients*each || b != a {
			t.Errorf("%d and %d, %v; expected %d", a, b, err, 1+clients*each)
		}
	})
}

// TestCommitCut cuts connections off at a COMMIT: its outcome is unknown, and it
// is either there or not. One that is cut off before its COMMIT is not.
func TestCommitCut(t *testing.T) {
	c := sqldbtest.Start(t).Cut(t)
	db := open(t, c.Config("cut"))
	for k, late := range map[string]bool{"early": false, "late": true} {
		c.Next(k, late)
		err := put(t.Context(), db, k)
		if u := (*vfs.Unknown)(nil); !errors.As(err, &u) || vfs.KindOf(err) != vfs.Unavailable || !c.Done() {
			t.Errorf("%s: %v, cut %v", k, err, c.Done())
		} else if known := Known(err); errors.As(known, &u) || vfs.KindOf(known) != vfs.Unavailable {
			t.Errorf("of a step of no account: %v", known)
		}
	}
	for i := range 3 {
		if err := put(t.Context(), db, fmt.Sprint(i)); err != nil {
			t.Errorf("a connection after it: %v", err)
		}
	}
	if got := keys(t, db); got != "0 1 2 late" {
		t.Errorf("rows: %s", got)
	}
}

// TestServerGone: a server that does not answer changes nothing, and no error
// names what it was reached with.
func TestServerGone(t *testing.T) {
	s := sqldbtest.Start(t)
	db := open(t, s.Config("gone"))
	ctx := t.Context()
	err := db.Update(ctx, func(q Queryer) error {
		_, err := q.ExecContext(ctx, "INSERT INTO t (k) VALUES ('cut off')")
		s.Kill()
		if err == nil {
			_, err = q.ExecContext(ctx, "INSERT INTO t (k) VALUES ('more')")
		}
		return err
	})
	if u := (*vfs.Unknown)(nil); vfs.KindOf(err) != vfs.Unavailable || errors.As(err, &u) {
		t.Errorf("killed before the COMMIT: %v", err)
	}
	if err := put(ctx, db, "away"); vfs.KindOf(err) != vfs.Unavailable || strings.Contains(err.Error(), s.Dir) {
		t.Errorf("killed: %v", err)
	}
	s.Run(t)
	if err := put(ctx, db, "back"); err != nil {
		t.Error(err)
	}
	if got := keys(t, db); got != "back" {
		t.Errorf("rows: %s", got)
	}
	set, err := Parse(vfs.Env{}, vfs.Config{"backend": "mysql", "host": s.Socket(), "user": "nobody", "password": "Tr0ub4dor"}, "", "gone")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = set.Open(ctx); vfs.KindOf(err) != vfs.Permission || strings.Contains(err.Error(), "Tr0ub4dor") {
		t.Errorf("a wrong password: %v", err)
	}
}
