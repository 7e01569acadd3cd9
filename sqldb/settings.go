package sqldb

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/pfs-project/pfs/vfs"
)

// Dialect is which SQL a database speaks.
type Dialect uint8

// The dialects.
const (
	SQLite Dialect = iota + 1
	MySQL          // MariaDB and TiDB too
)

// Driver returns the name of the driver as the compatible contract has it.
func (d Dialect) Driver() string {
	if d == SQLite {
		return "sqlite3"
	}
	return "mysql"
}

// Settings say which database to open.
type Settings struct {
	Dialect Dialect
	file    string // SQLite: absolute
	node    string
	server  *mysql.Config
}

// Params returns the settings of a database. The defaults are those of Parse.
func Params(file, database string) []vfs.Param {
	return []vfs.Param{
		{Name: "backend", Type: "string", Default: "sqlite", Description: "sqlite (or sqlite3), mysql or tidb"},
		{Name: "db_path", Type: "string", Default: file,
			Description: "sqlite: the file, on the node that the mount lives on; its directory must exist"},
		{Name: "dsn", Type: "string", Secret: true,
			Description: "mysql, tidb: data source name, user:password@tcp(host:port)/database; instead of the settings below"},
		{Name: "user", Type: "string", Default: "root", Description: "mysql, tidb: the user"},
		{Name: "password", Type: "string", Secret: true, Description: "mysql, tidb: the password"},
		{Name: "host", Type: "string", Default: "127.0.0.1", Description: "mysql, tidb: the server, or the path of its socket"},
		{Name: "port", Type: "int", Default: "3306 (tidb 4000)", Description: "mysql, tidb: the port"},
		{Name: "database", Type: "string", Default: database, Description: "mysql, tidb: the database; made if it is missing"},
		{Name: "enable_tls", Type: "bool", Default: "false", Description: "mysql, tidb: talk over TLS"},
		{Name: "tls_server_name", Type: "string", Description: "mysql, tidb: the name in the server's certificate; default: host"},
		{Name: "tls_skip_verify", Type: "bool", Default: "false", Description: "mysql, tidb: do not verify the server's certificate"},
	}
}

// Place says where a mount with these settings runs: a file is on one node.
func Place(c vfs.Config) (vfs.Placement, error) {
	d, _, err := dialect(c)
	if d == SQLite {
		return vfs.Pinned, err
	}
	return vfs.Shared, err
}

func dialect(c vfs.Config) (d Dialect, port int64, err error) {
	s, err := c.String("backend", "sqlite")
	if err != nil {
		return 0, 0, err
	}
	switch s {
	case "sqlite", "sqlite3", "":
		return SQLite, 0, nil
	case "mysql", "mariadb":
		return MySQL, 3306, nil
	case "tidb":
		return MySQL, 4000, nil
	}
	return 0, 0, vfs.Invalid.Withf("backend is invalid: %q; it is sqlite, mysql or tidb", s)
}

// Parse reads the settings; file and database are the defaults of those.
func Parse(e vfs.Env, c vfs.Config, file, database string) (Settings, error) {
	d, port, err := dialect(c)
	if err != nil {
		return Settings{}, err
	}
	s := Settings{Dialect: d, node: e.Node}
	if d == SQLite {
		s.file, err = parseFile(e, c, file)
	} else {
		s.server, err = parseServer(c, port, database)
	}
	return s, err
}

// parseFile takes a path of the disk, not an URI: those have options.
func parseFile(e vfs.Env, c vfs.Config, def string) (string, error) {
	file, err := c.String("db_path", def)
	if err != nil {
		return "", err
	}
	if file == "" {
		file = def
	}
	if strings.HasPrefix(file, ":") || strings.HasPrefix(file, "file:") || strings.ContainsRune(file, 0) {
		return "", vfs.Invalid.With("db_path is invalid: it must be the path of a file; what is only in memory would be lost with the node")
	}
	file, err = filepath.Abs(file)
	if err != nil {
		return "", vfs.Invalid.With("db_path is invalid: no working directory for it")
	}
	if e.DataDir == "" {
		return file, nil
	}
	// Links are looked through as far as the directories exist.
	own, at := e.DataDir, filepath.Dir(file)
	for _, p := range []*string{&own, &at} {
		if q, err := filepath.EvalSymlinks(*p); err == nil {
			*p = q
		}
		if q, err := filepath.Abs(*p); err == nil {
			*p = q
		}
	}
	if rel, err := filepath.Rel(own, at); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(os.PathSeparator)) {
		return "", vfs.Permission.With("db_path must not lie in the data directory of the node")
	}
	return file, nil
}

// parseServer makes the driver's settings. Only what is harmless is taken from
// a data source name.
func parseServer(c vfs.Config, port int64, database string) (*mysql.Config, error) {
	cfg, err := fields(c, port, database)
	if err != nil {
		return nil, err
	}
	if dsn, err := c.String("dsn", ""); err != nil {
		return nil, err
	} else if dsn != "" {
		// A name that the peer registers with its driver.
		own, err := mysql.ParseDSN(strings.Replace(dsn, "tls=tidb", "tls=true", 1))
		if err != nil {
			return nil, vfs.Invalid.With("dsn is invalid: it is user:password@tcp(host:port)/database")
		}
		for k := range own.Params {
			if !slices.Contains([]string{"charset", "time_zone", "sql_mode", "tx_isolation", "transaction_isolation"}, k) {
				return nil, vfs.Invalid.Withf("dsn is invalid: the option %q cannot be set", k)
			}
		}
		cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName, cfg.TLS = own.User, own.Passwd, own.Net, own.Addr, own.DBName, own.TLS
		if cfg.DBName == "" {
			cfg.DBName = database
		}
	}
	if cfg.Net != "tcp" && cfg.Net != "unix" {
		return nil, vfs.Invalid.With("dsn is invalid: the network is tcp or unix")
	}
	return cfg, withTLS(cfg, c)
}

// fields reads the settings beside the data source name.
func fields(c vfs.Config, port int64, database string) (*mysql.Config, error) {
	cfg := mysql.NewConfig()
	cfg.Logger = &mysql.NopLogger{}
	cfg.ClientFoundRows = true // so that a change to what is there already counts
	cfg.Timeout, cfg.ReadTimeout, cfg.WriteTimeout = 10*time.Second, time.Minute, time.Minute
	host := ""
	for _, f := range []struct {
		to       *string
		key, def string
	}{{&cfg.User, "user", "root"}, {&cfg.Passwd, "password", ""}, {&host, "host", "127.0.0.1"}, {&cfg.DBName, "database", database}} {
		s, err := c.String(f.key, f.def)
		if err != nil {
			return nil, err
		}
		if *f.to = s; s == "" {
			*f.to = f.def
		}
	}
	number, err := c.String("port", "")
	if err != nil {
		return nil, err
	}
	if n, err := c.Int("port", port); number != "" && err != nil {
		return nil, err
	} else if number != "" {
		port = n
	}
	if port < 1 || port > 65535 {
		return nil, vfs.Invalid.With("port is invalid: it is from 1 to 65535")
	}
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(host, strconv.FormatInt(port, 10))
	if strings.HasPrefix(host, "/") {
		cfg.Net, cfg.Addr = "unix", host
	}
	return cfg, nil
}

func withTLS(cfg *mysql.Config, c vfs.Config) error {
	on, err := c.Bool("enable_tls", false)
	if err != nil {
		return err
	}
	skip, err := c.Bool("tls_skip_verify", false)
	if err != nil {
		return err
	}
	name, err := c.String("tls_server_name", "")
	if err != nil || !on {
		return err
	}
	if name == "" {
		name, _, _ = net.SplitHostPort(cfg.Addr)
	}
	cfg.TLS = &tls.Config{ServerName: name, InsecureSkipVerify: skip, MinVersion: tls.VersionTLS12}
	return nil
}
