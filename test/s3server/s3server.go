// Package s3server runs a real S3 server for tests: versitygw over a directory.
package s3server

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/ports"
)

// The access key of every server.
const (
	KeyID  = "test-key-id"
	Secret = "test-secret-key-canary"
)

// Server is one process with one bucket.
type Server struct {
	URL    string
	Bucket string
	Dir    string // whose files are the objects
	stop   func()
}

// Stop kills the server.
func (s *Server) Stop() { s.stop() }

// Start runs a server until the test ends. The program is installed by the
// gate; without it the test fails.
func Start(t testing.TB) *Server {
	t.Helper()
	root := t.TempDir()
	s := &Server{Bucket: "bucket", Dir: filepath.Join(root, "bucket")}
	if err := os.Mkdir(s.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	addr := ports.Free(t, 1)[0]
	s.URL = "http://" + addr
	var out bytes.Buffer
	cmd := exec.Command("versitygw", "--port", addr, "--quiet", "--keep-alive", "posix", root)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+KeyID, "ROOT_SECRET_KEY="+Secret)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("the S3 server does not start (.ci/run installs it): %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
	s.stop = func() {
		_ = cmd.Process.Kill() // once more does nothing
		<-ended
	}
	t.Cleanup(s.stop)
	for end := time.Now().Add(30 * time.Second); ; {
		if resp, err := http.Get(s.URL); err == nil {
			resp.Body.Close()
			return s
		}
		select {
		case <-ended:
			t.Fatalf("the S3 server has ended:\n%s", out.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatal("the S3 server does not answer")
		}
	}
}

// Config returns settings for a mount of the bucket.
func (s *Server) Config() map[string]any {
	return map[string]any{"bucket": s.Bucket, "endpoint": s.URL, "access_key_id": KeyID, "secret_access_key": Secret}
}

// JSON returns Config with a prefix as text.
func (s *Server) JSON(prefix string) string {
	return fmt.Sprintf(`{"bucket":%q,"endpoint":%q,"access_key_id":%q,"secret_access_key":%q,"prefix":%q}`,
		s.Bucket, s.URL, KeyID, Secret, prefix)
}
