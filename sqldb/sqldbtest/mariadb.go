// Package sqldbtest runs a database server for tests.
package sqldbtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// Server is a MariaDB with data of its own, which listens on a socket alone.
type Server struct {
	Dir string
	cmd *exec.Cmd
}

// Start starts a server that ends with the test. MariaDB must be installed
// (Debian: mariadb-server).
func Start(t testing.TB) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "pfs-db") // not t.TempDir: a socket has a short name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Server{Dir: dir}
	install := exec.Command("mariadb-install-db", "--no-defaults", "--user="+name(t), "--datadir="+filepath.Join(dir, "data"),
		"--auth-root-authentication-method=normal", "--skip-test-db")
	install.Env = s.env()
	out, err := install.CombinedOutput()
	if err != nil {
		t.Fatalf("mariadb-install-db: %v\n%s", err, out)
	}
	s.Run(t)
	t.Cleanup(s.Kill)
	return s
}

// env gives it a place of its own for temporary tables: each that starts removes what
// it finds there, as if it were left by one that has ended.
func (s *Server) env() []string { return append(os.Environ(), "TMPDIR="+s.Dir) }

func name(t testing.TB) string {
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// Run starts the process, again after Kill, and waits for it.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	at := func(name string) string { return filepath.Join(s.Dir, name) }
	s.cmd = exec.Command("mariadbd", "--no-defaults", "--user="+name(t), "--datadir="+at("data"), "--skip-networking",
		"--socket="+s.Socket(), "--pid-file="+at("pid"), "--log-error="+at("err.log"), "--innodb-buffer-pool-size=64M",
		"--innodb-log-file-size=16M", "--performance-schema=OFF", "--skip-log-bin")
	s.cmd.Env = s.env()
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.cmd.Wait() }()
	for range 600 {
		select {
		case <-ended:
			log, err := os.ReadFile(at("err.log"))
			t.Fatalf("mariadbd has ended: %s%v", log, err)
		case <-time.After(100 * time.Millisecond):
		}
		if exec.Command("mariadb-admin", "--no-defaults", "--socket="+s.Socket(), "-uroot", "ping").Run() == nil {
			return
		}
	}
	t.Fatal("mariadbd does not answer within a minute")
}

// Kill ends the process as a cut of power would, but for the disk.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	for !errors.Is(s.cmd.Process.Kill(), os.ErrProcessDone) {
		time.Sleep(10 * time.Millisecond)
	}
}

// Socket returns where the server listens.
func (s *Server) Socket() string { return filepath.Join(s.Dir, "s") }

// Config returns settings for a database of this server.
func (s *Server) Config(database string) vfs.Config {
	return vfs.Config{"backend": "mysql", "dsn": fmt.Sprintf("root@unix(%s)/%s", s.Socket(), database)}
}
