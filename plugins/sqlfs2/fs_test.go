package sqlfs2

import (
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/sqldb/sqldbtest"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

func start(t *testing.T, c vfs.Config) *FS {
	t.Helper()
	fs, err := Plugin().New(vfs.Env{Node: "n1", Log: slog.New(slog.DiscardHandler)}, c)
	if err != nil {
		t.Fatal(err)
	}
	f := fs.(*FS)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// Test holds the plugin to the laws of all filesystems and plays its scripts.
func Test(t *testing.T) {
	p := Plugin()
	make := p.New
	p.New = func(e vfs.Env, _ vfs.Config) (vfs.FileSystem, error) {
		e.Log = slog.New(slog.DiscardHandler)
		return make(e, vfs.Config{"db_path": filepath.Join(t.TempDir(), "db")}) // each mount has its own
	}
	vfstest.Run(t, vfstest.Subject{Plugin: p, Config: vfs.Config{"db_path": "/db"}, Scripts: "testdata"})
}

// user walks through the files of a mount.
type user struct {
	*testing.T
	*FS
}

func (u user) open(ctl string) string {
	u.Helper()
	r, err := u.Do(u.Context(), vfs.Op{Verb: vfs.Consume, Path: vfs.Path(ctl)})
	if err != nil {
		u.Fatal(err)
	}
	return strings.TrimSuffix(ctl, "ctl") + strings.TrimSpace(string(r.Data))
}

func (u user) write(path, text string, want vfs.Kind) {
	u.Helper()
	_, err := u.Do(u.Context(), vfs.Op{Verb: vfs.Write, Path: vfs.Path(path), Flag: vfs.FlagCreate | vfs.FlagTruncate, Data: []byte(text)})
	if vfs.KindOf(err) != want {
		u.Fatalf("%s: %s: %v", path, text, err)
	}
}

func (u user) reads(path, want string) {
	u.Helper()
	b := make([]byte, 1<<16)
	n, err := u.ReadAt(u.Context(), nil, vfs.Path(path), b, 0)
	if err != io.EOF || string(b[:n]) != want {
		u.Fatalf("%s: %q, %v; expected %q", path, b[:n], err, want)
	}
}

// A session on a MySQL server.
func TestMariaDB(t *testing.T) {
	s := sqldbtest.Start(t)
	u := user{t, start(t, s.Config("shop"))}
	a := u.open("/shop/ctl")
	u.write(a+"/query", "CREATE TABLE t (id BIGINT PRIMARY KEY AUTO_INCREMENT, big BIGINT UNSIGNED, price DECIMAL(20,4), name VARCHAR(20), raw BLOB)", 0)
	u.write(a+"/query", `{"sql": "INSERT INTO t (big, price, name, raw) VALUES (?, ?, ?, ?)", "params": [18446744073709551615, "12345678901234.5678", "é", null]}`, 0)
	u.reads(a+"/result", "{\n  \"last_insert_id\": 1,\n  \"rows_affected\": 1\n}\n")
	u.write(a+"/ctl", "commit", 0)
	u.write(a+"/query", "DELETE FROM t", 0)
	u.write(a+"/ctl", "rollback", 0)
	u.write(a+"/query", "SELECT * FROM t", 0)
	u.reads(a+"/result.ndjson", `{"id": 1, "big": 18446744073709551615, "price": 12345678901234.5678, "name": "é", "raw": null}`+"\n")
	u.write(a+"/query", "SHOW TABLES", 0)
	u.reads(a+"/result.csv", "Tables_in_shop\nt\n")
	b := u.open("/shop/t/ctl")
	u.write(b+"/data", `[{"name": "x"}, {"name": "y", "big": 9007199254740993}]`, 0)
	u.write(b+"/data", `[{"name": "z"}, {"name": "a name that is far too long"}]`, vfs.Invalid)
	u.reads("/shop/t/count", "1\n")
	u.write(b+"/ctl", "close", 0)
	u.reads("/shop/t/count", "3\n")

	// One that waits for another's row is told, and nothing half of it stays.
	c, d := u.open("/shop/ctl"), u.open("/shop/ctl")
	u.write(c+"/query", "UPDATE t SET name = 'c' WHERE id = 1", 0)
	u.write(d+"/query", "UPDATE t SET name = 'd' WHERE id = 2", 0)
	u.write(d+"/query", "SET innodb_lock_wait_timeout = 1", 0)
	u.write(d+"/query", "UPDATE t SET name = 'd' WHERE id = 1", vfs.Unavailable)
	u.write(d+"/ctl", "commit", vfs.Conflict)
	u.write(d+"/query", "SELECT 1", vfs.Conflict)
	u.write(d+"/ctl", "rollback", 0)
	u.write(d+"/query", "SELECT name FROM t WHERE id = 2", 0)
	u.reads(d+"/result.csv", "name\nx\n")
	u.write(c+"/ctl", "close", 0)

	// The server dies: what was committed is there, what was not is not.
	e := u.open("/shop/ctl")
	u.write(e+"/query", "DELETE FROM t", 0)
	s.Kill()
	u.write(e+"/ctl", "commit", vfs.Unavailable)
	s.Run(t)
	u.write(e+"/ctl", "commit", vfs.Conflict)
	u.reads("/shop/t/count", "3\n")
	if _, err := u.Do(t.Context(), vfs.Op{Verb: vfs.RemoveAll, Path: "/shop"}); err != nil {
		t.Error(err)
	}
	if _, err := u.Stat(t.Context(), nil, "/shop"); vfs.KindOf(err) != vfs.NotFound {
		t.Error(err)
	}
}

// Sessions end, rolled back, when nobody uses them; there is a bound on how many
// there are, on results and on time.
func TestLimits(t *testing.T) {
	// A session lasts longer than a busy machine stands still between two uses of it.
	u := user{t, start(t, vfs.Config{"db_path": filepath.Join(t.TempDir(), "db"), "session_timeout": "6s", "query_timeout": "4s", "max_result": "10KB"})}
	u.write(u.open("/ctl")+"/query", "CREATE TABLE gone (id INTEGER)", 0)
	a := u.open("/ctl")
	u.write(a+"/query", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) SELECT i FROM n", vfs.TooLarge)
	u.write(a+"/query", "SELECT 1 AS one", 0)
	u.reads(a+"/result.csv", "one\n1\n")
	u.write(a+"/query", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n", vfs.Timeout)
	u.write(a+"/ctl", "commit", vfs.Conflict)
	for deadline := time.Now().Add(30 * time.Second); len(u.all()) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("sessions that nobody uses do not end")
		}
	}
	u.write(a+"/query", "SELECT 1", vfs.NotFound)
	if infos, err := u.List(t.Context(), nil, "/main", "", 0); err != nil || len(infos) != 1 {
		t.Errorf("%+v, %v", infos, err)
	}
	for range mostSessions {
		u.open("/ctl")
	}
	if _, err := u.Do(t.Context(), vfs.Op{Verb: vfs.Consume, Path: "/ctl"}); vfs.KindOf(err) != vfs.Throttled {
		t.Error(err)
	}
}
