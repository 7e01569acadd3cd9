package supervise

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Directories that are deeper in each other than files may be open are removed, with
// many files beside them, and nothing that a link leads to.
func TestRemoveTree(t *testing.T) {
	kept := t.TempDir() + "/kept"
	if err := os.WriteFile(kept, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() + "/dir"
	if err := os.MkdirAll(dir+"/beside/below", 0o700); err != nil {
		t.Fatal(err)
	}
	for n := range 2 * atOnce {
		if err := os.WriteFile(fmt.Sprintf("%s/beside/%d", dir, n), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"/link", "/beside/below/link"} {
		if err := os.Symlink(t.TempDir()+"/..", dir+link); err != nil {
			t.Fatal(err)
		}
	}
	at, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 3000 {
		if err := unix.Mkdirat(at, "d", 0o700); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(at, "d", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(at)
		at = next
	}
	unix.Close(at)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 100, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	err = removeTree(dir)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Error(err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
	link := t.TempDir() + "/link"
	if err := os.Symlink(t.TempDir()+"/..", link); err != nil {
		t.Fatal(err)
	}
	if err := removeTree(link); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
}
