package sqldb

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// TestParse reads settings as they come from YAML, JSON and older servers.
func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		config vfs.Config
		place  vfs.Placement
		addr   string // user, net, address, database; or the file
	}{
		"nothing":     {vfs.Config{}, vfs.Pinned, "files.db"},
		"a file":      {vfs.Config{"backend": "sqlite3", "db_path": "/tmp/x.db"}, vfs.Pinned, "x.db"},
		"defaults":    {vfs.Config{"backend": "mysql"}, vfs.Shared, "root tcp 127.0.0.1:3306 pfs"},
		"tidb":        {vfs.Config{"backend": "tidb"}, vfs.Shared, "root tcp 127.0.0.1:4000 pfs"},
		"text port":   {vfs.Config{"backend": "mysql", "host": "db", "port": "4001", "user": "u", "database": "d"}, vfs.Shared, "u tcp db:4001 d"},
		"JSON port":   {vfs.Config{"backend": "mysql", "host": "::1", "port": 4001.0}, vfs.Shared, "root tcp [::1]:4001 pfs"},
		"a socket":    {vfs.Config{"backend": "mysql", "host": "/run/db"}, vfs.Shared, "root unix /run/db pfs"},
		"dsn":         {vfs.Config{"backend": "tidb", "dsn": "u:p@tcp(h:1)/d?charset=utf8mb4&parseTime=true", "host": "x"}, vfs.Shared, "u tcp h:1 d"},
		"dsn, no db":  {vfs.Config{"backend": "mysql", "dsn": "u@tcp(h:1)/"}, vfs.Shared, "u tcp h:1 pfs"},
		"dsn of tidb": {vfs.Config{"backend": "tidb", "dsn": "u@tcp(h:1)/d?tls=tidb"}, vfs.Shared, "u tcp h:1 d"},
	} {
		s, err := Parse(vfs.Env{}, c.config, "files.db", "pfs")
		place, perr := Place(c.config)
		if err != nil || perr != nil || place != c.place {
			t.Errorf("%s: %v, %v, %v", name, err, place, perr)
			continue
		}
		got := filepath.Base(s.file)
		if s.server != nil {
			got = strings.Join([]string{s.server.User, s.server.Net, s.server.Addr, s.server.DBName}, " ")
			if tls := strings.Contains(name, "of tidb"); (s.server.TLS != nil) != tls {
				t.Errorf("%s: TLS is %v", name, s.server.TLS)
			}
		}
		if got != c.addr {
			t.Errorf("%s: %s; expected %s", name, got, c.addr)
		}
	}
	s, err := Parse(vfs.Env{}, vfs.Config{"backend": "mysql", "host": "db", "enable_tls": "true"}, "", "pfs")
	if err != nil || s.server.TLS.ServerName != "db" || s.server.TLS.InsecureSkipVerify {
		t.Errorf("%v, %+v", err, s.server)
	}
}

// TestParseRefuses what would reach other files, send the password in the clear,
// or keep what is written in memory alone. No text has the password.
func TestParseRefuses(t *testing.T) {
	data := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(data, link); err != nil {
		t.Fatal(err)
	}
	dsn := func(s string) vfs.Config { return vfs.Config{"backend": "mysql", "dsn": "u:Tr0ub4dor@" + s} }
	for want, all := range map[string][]vfs.Config{
		"backend is invalid":                   {{"backend": "postgres"}, {"backend": "SQLite"}},
		"db_path is invalid":                   {{"db_path": ":memory:"}, {"db_path": "file:/x?mode=memory"}, {"db_path": "a\x00b"}},
		"data directory":                       {{"db_path": data + "/x"}, {"db_path": data + "/deep/x"}, {"db_path": link + "/x"}},
		"port is invalid":                      {{"backend": "mysql", "port": 0}, {"backend": "mysql", "port": "65536"}},
		"port":                                 {{"backend": "mysql", "port": "many"}, {"backend": "mysql", "port": 1.5}},
		"tls_skip_verify":                      {{"backend": "mysql", "enable_tls": true, "tls_skip_verify": "perhaps"}},
		"dsn is invalid: it is":                {dsn("tcp(h:1"), dsn("tcp(h:1)/d?tls=mine")},
		"dsn is invalid: the network":          {dsn("file(/x)/d")},
		`dsn is invalid: the option "init_co`:  {dsn("tcp(h:1)/d?init_connect=x")},
		`dsn is invalid: the option "sql_log`:  {dsn("tcp(h:1)/d?sql_log_bin=0")},
		`dsn is invalid: the option "local_in`: {dsn("tcp(h:1)/d?local_infile=1")},
	} {
		for _, c := range all {
			_, err := Parse(vfs.Env{DataDir: data}, c, "files.db", "pfs")
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "Tr0ub4dor") {
				t.Errorf("%v: %v", c, err)
			}
			if k := vfs.KindOf(err); k != vfs.Invalid && k != vfs.Permission {
				t.Errorf("%v: %v", c, k)
			}
		}
	}
	// Options that read files or send passwords in the clear are the driver's own.
	s, err := Parse(vfs.Env{}, dsn("tcp(h:1)/d?allowAllFiles=true&allowCleartextPasswords=true&multiStatements=true"), "", "pfs")
	if err == nil && (s.server.AllowAllFiles || s.server.AllowCleartextPasswords || s.server.MultiStatements) {
		t.Errorf("%+v", s.server)
	}
}

// TestOpenFile opens what is, and is not, a file that can be opened.
func TestOpenFile(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:            "no file that can be opened on node n1",
		dir + "/no/db": "its directory does not exist on node n1",
		"/dev/full":    "not a regular file",
		text:           "is no SQLite database",
	} {
		s, err := Parse(vfs.Env{Node: "n1"}, vfs.Config{"db_path": path}, "", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err = s.Open(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	// It is its owner's alone, and its sessions attach no other file.
	s, err := Parse(vfs.Env{}, vfs.Config{"db_path": filepath.Join(dir, "new")}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	db, err := s.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if st, err := os.Stat(s.file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := s.Dialect.Confine(c); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"ATTACH '" + dir + "/other' AS o", "VACUUM INTO '" + dir + "/other'"} {
		if _, err := c.ExecContext(t.Context(), q); err == nil {
			t.Errorf("%s: done", q)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "other")); !os.IsNotExist(err) {
		t.Errorf("another file: %v", err)
	}
}
