package supervise

import (
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A program starts where the machine forbids to change owners, as the filter of
// configs/systemd/pfs.service does.
func TestChildWithoutChown(t *testing.T) {
	if os.Getenv("PFS_TEST_FILTERED") != "" {
		c, err := Start(Command{Code: []byte("#!/bin/sh\necho runs\n"), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer end(c, 0)
		if out, err := io.ReadAll(c.Out); err != nil || string(out) != "runs\n" {
			t.Errorf("%q, %v", out, err)
		}
		if os.Getuid() == 0 && !slices.Contains(c.Lacks(), ownUser) {
			t.Errorf("its directory is not its user's, and it lacks only %q", c.Lacks())
		}
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("strace", "-D", "-f", "-qq", "-o", filepath.Join(t.TempDir(), "calls"),
		"-e", "inject=?chown,?lchown,?fchown,fchownat:error=EPERM", exe, "-test.run=^TestChildWithoutChown$")
	cmd.Env = append(os.Environ(), "PFS_TEST_FILTERED=1")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, b)
	}
}

// Where the user of a program cannot enter its directory the program does not start:
// it does not run as root instead.
func TestChildFailsClosed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("only root gives programs users")
		return
	}
	above := t.TempDir() + "/closed"
	if err := os.MkdirAll(above+"/tmp", 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", above+"/tmp")
	c, err := Start(Command{Code: []byte("#!/bin/sh\nid -u\n"), Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		out, _ := io.ReadAll(c.Out)
		end(c, 0)
		t.Fatalf("it runs as user %q; missing: %q", out, c.Lacks())
	}
	if !strings.Contains(err.Error(), "TMPDIR") {
		t.Error(err)
	}
	if left, _ := os.ReadDir(above + "/tmp"); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
