package test

import (
	"fmt"
	"path/filepath"
	"strings"
)

// peerSessions commits what a session of sqlfs2 has done, by commit and by close.
func peerSessions(p *peer) {
	at := p.dir + "-sql2"
	p.mount("sqlfs2", at, fmt.Sprintf(`{"db_path":%q}`, filepath.Join(p.TempDir(), "db")))
	open := func() string {
		return at + "/" + strings.TrimSpace(p.want(200, "GET", "/files?path="+at+"/ctl", "").body)
	}
	s := open()
	p.put(s+"/query", "CREATE TABLE t (n BIGINT)")
	p.put(s+"/query", "INSERT INTO t VALUES (9007199254740993)")
	p.put(s+"/ctl", "commit")
	p.put(s+"/query", "INSERT INTO t VALUES (2)")
	p.put(s+"/ctl", "close")
	p.reads(at+"/main/t/count", "2\n")
	s = open()
	p.put(s+"/query", "DELETE FROM t")
	p.want(200, "DELETE", "/files?path="+s+"&recursive=true", "")
	s = open()
	p.put(s+"/query", "SELECT n FROM t ORDER BY n DESC")
	p.reads(s+"/result.csv", "n\n9007199254740993\n2\n")
	a := p.want(200, "PUT", "/files?path="+at+"/main/t/query", "SELECT COUNT(*) AS n FROM t")
	if !strings.Contains(a.body, `"result":[{"n":2}]`) && !strings.Contains(a.body, `"n": 2`) {
		p.Errorf("%s", a.body)
	}
	// A search reads files, and opens nothing.
	p.want(200, "POST", "/grep", fmt.Sprintf(`{"path":%q,"pattern":"x","recursive":true}`, at))
	if names := p.names(at); len(names) != 4 { // README, ctl, main and the session
		p.Errorf("%q", names)
	}
}
