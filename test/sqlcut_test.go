package test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/sqldb/sqldbtest"
	"github.com/pfs-project/pfs/test/harness"
)

// TestSQLCommitCut breaks the connections to a database at a COMMIT: before the
// server hears it, and when it has committed. The client is told that the outcome
// is unknown, and finds all of its change or nothing.
func TestSQLCommitCut(t *testing.T) {
	t.Parallel()
	c := sqldbtest.Start(t).Cut(t)
	n := harness.Start(t, harness.Options{Env: []string{"PFS_TEST_DSN=" + c.Config("cut")["dsn"].(string)}}).Nodes[0]
	w := newWeb(t, n)
	const config = `{"backend":"mysql","dsn":"env:PFS_TEST_DSN"}`
	for kind, at := range map[string]string{"sqlfs": "/cut/files", "queuefs": "/cut/q", "sqlfs2": "/cut/db"} {
		w.mount(kind, at, config)
	}
	cutFiles(w, c)
	cutQueue(w, c)
	cutSession(w, c)
	if log, err := os.ReadFile(n.Log); err != nil || bytes.Contains(log, []byte("root@tcp")) {
		t.Errorf("the log has what the database is reached with; %v", err)
	}
}

// unknown makes a change whose COMMIT is cut off, and is told so.
func (w web) unknown(c *sqldbtest.Cutter, mark string, late bool, method, route, body string, headers ...string) {
	w.t.Helper()
	c.Next(mark, late)
	a := w.want(503, method, route, body, headers...)
	if !strings.Contains(a.body, `"outcome":"unknown"`) || !strings.Contains(a.body, `"code":"unavailable"`) || a.header.Get("Retry-After") == "" || !c.Done() {
		w.t.Errorf("%s %s: cut %v, %s", method, route, c.Done(), a.body)
	}
}

// cutFiles changes files of sqlfs. What was there before stays, or what is new.
func cutFiles(w web, c *sqldbtest.Cutter) {
	file := "/files?path=/cut/files/"
	w.put("/cut/files/f", "old")
	w.unknown(c, "/f", false, "PUT", file+"f", "new")
	w.reads("/cut/files/f", "old")
	w.unknown(c, "/f", true, "PUT", file+"f", "new")
	w.reads("/cut/files/f", "new")
	w.unknown(c, "/g", true, "POST", "/rename?path=/cut/files/f", `{"newPath":"/cut/files/g"}`)
	w.reads("/cut/files/g", "new")

	// A part of a long file is nobody's yet: it is known that nothing has changed.
	long := strings.Repeat("a long file ", 300_000)
	c.Next("a long file", true)
	if a := w.want(503, "PUT", file+"g", long); strings.Contains(a.body, "outcome") || !c.Done() {
		w.t.Errorf("cut %v, %s", c.Done(), a.body)
	}
	w.reads("/cut/files/g", "new")
	w.unknown(c, "/g", true, "PUT", file+"g", long)
	w.reads("/cut/files/g", long)
	w.unknown(c, "/g", false, "DELETE", file+"g", "")
	w.reads("/cut/files/g", long)
}

// cutQueue sends and takes messages. A repeat under the same key tells what
// became of them, and does nothing twice.
func cutQueue(w web, c *sqldbtest.Cutter) {
	q := "/files?path=/cut/q/jobs/"
	w.mkdir("/cut/q/jobs")
	for key, late := range map[string]bool{"one-early": false, "two-late": true} {
		w.unknown(c, key, late, "PUT", q+"enqueue", "message "+key, "Idempotency-Key", key)
		again := w.want(200, "PUT", q+"enqueue", "message "+key, "Idempotency-Key", key)
		if third := w.want(200, "PUT", q+"enqueue", "message "+key, "Idempotency-Key", key); third.body != again.body {
			w.t.Errorf("%s: %s, then %s", key, again.body, third.body)
		}
	}
	w.reads("/cut/q/jobs/size", "2")
	w.unknown(c, "get-it", true, "GET", q+"dequeue", "", "Idempotency-Key", "get-it")
	w.reads("/cut/q/jobs/size", "1")
	if a := w.want(200, "GET", q+"dequeue", "", "Idempotency-Key", "get-it"); !strings.Contains(a.body, `"data":"message `) {
		w.t.Errorf("what was taken is lost: %s", a.body)
	}
	w.mkdir("/cut/q/short")
	w.put("/cut/q/short/enqueue", "the last one")
	w.unknown(c, "was-it", true, "GET", "/files?path=/cut/q/short/dequeue", "", "Idempotency-Key", "was-it")
	w.want(200, "DELETE", "/files?path=/cut/q/short&recursive=true", "")
	if a := w.want(200, "GET", "/files?path=/cut/q/short/dequeue", "", "Idempotency-Key", "was-it"); !strings.Contains(a.body, `"data":"the last one"`) {
		w.t.Errorf("what was taken is lost with its queue: %s", a.body)
	}
	w.want(404, "GET", "/files?path=/cut/q/short/dequeue", "", "Idempotency-Key", "another")
	w.unknown(c, "keep-it", false, "GET", q+"dequeue", "", "Idempotency-Key", "keep-it")
	w.reads("/cut/q/jobs/size", "1")
}

// cutSession commits a session of sqlfs2.
func cutSession(w web, c *sqldbtest.Cutter) {
	session := func() string {
		return "/cut/db/" + strings.TrimSpace(w.want(200, "GET", "/files?path=/cut/db/ctl", "").body)
	}
	s := session()
	w.put(s+"/query", "CREATE TABLE cut.rows_of_it (k VARCHAR(20))")
	for k, late := range map[string]bool{"early": false, "late": true} {
		s := session()
		c.Next("row-"+k, late)
		w.put(s+"/query", "INSERT INTO cut.rows_of_it VALUES ('row-"+k+"')")
		a := w.want(503, "PUT", "/files?path="+s+"/ctl", "commit")
		if !strings.Contains(a.body, `"outcome":"unknown"`) || !c.Done() {
			w.t.Errorf("%s: cut %v, %s", k, c.Done(), a.body)
		}
		w.want(409, "PUT", "/files?path="+s+"/query", "SELECT 1")
	}
	s = session()
	w.put(s+"/query", "SELECT k FROM cut.rows_of_it")
	if a := w.want(200, "GET", "/files?path="+s+"/result", ""); !strings.Contains(a.body, "row-late") || strings.Contains(a.body, "row-early") {
		w.t.Errorf("rows: %s", a.body)
	}
}
